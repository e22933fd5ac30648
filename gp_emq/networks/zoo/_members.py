"""The networks of the zoo: what each is, and how it was trained."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from gp_emq.networks._cifar_resnet import CifarResNet
from gp_emq.networks.zoo._attentive import AttentiveNetwork
from gp_emq.networks.zoo._axial import AxialBlock
from gp_emq.networks.zoo._bottleneck import BottleneckNetwork
from gp_emq.networks.zoo._branched import BranchedNetwork
from gp_emq.networks.zoo._dense import DenseNetwork
from gp_emq.networks.zoo._dilated import DilatedNetwork
from gp_emq.networks.zoo._excite import ExcitedNetwork
from gp_emq.networks.zoo._gated import GatedBlock
from gp_emq.networks.zoo._grouped import GroupedNetwork
from gp_emq.networks.zoo._hourglass import HourglassNetwork
from gp_emq.networks.zoo._inverted import InvertedNetwork
from gp_emq.networks.zoo._latent import LatentNetwork
from gp_emq.networks.zoo._mixer import MixerNetwork
from gp_emq.networks.zoo._modern import ModernNetwork
from gp_emq.networks.zoo._multiscale import MultiscaleNetwork
from gp_emq.networks.zoo._plain import PlainNetwork
from gp_emq.networks.zoo._pooling import PoolingNetwork
from gp_emq.networks.zoo._recurrent import RecurrentNetwork
from gp_emq.networks.zoo._separable import SeparableNetwork
from gp_emq.networks.zoo._shuffled import ShuffledNetwork
from gp_emq.networks.zoo._token import ClassTokenNetwork
from gp_emq.networks.zoo._tokens import TokenNetwork
from gp_emq.networks.zoo._transformer import TransformerNetwork
from gp_emq.networks.zoo._unnormed import UnnormedNetwork

SGD, ADAMW = "sgd", "adamw"


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: one cycle of the learning rate.

    Attributes:
        optimizer: `"sgd"`, with Nesterov momentum of 0.9, or `"adamw"`.
        learning_rate: its peak.
        weight_decay: of all parameters.
        epochs: passes over the training images.
        batch: images of one step.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    epochs: int
    batch: int


@dataclass(frozen=True)
class Member:
    """A network of the zoo.

    Attributes:
        name: by which it is registered.
        description: one line.
        data_set: `"digits"` or `"cifar10"`.
        factory: builds it untrained.
        recipe: how it was trained.
    """

    name: str
    description: str
    data_set: str
    factory: Callable[[], nn.Module]
    recipe: Recipe

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return (1, 8, 8) if self.data_set == "digits" else (3, 32, 32)


_DIGITS_SGD = Recipe(SGD, 0.1, 2e-3, epochs=150, batch=64)
_DIGITS_ADAMW = Recipe(ADAMW, 3e-3, 0.05, epochs=150, batch=64)


def _cifar_sgd(epochs: int) -> Recipe:
    return Recipe(SGD, 0.15, 1e-3, epochs, batch=128)


def _cifar_adamw(epochs: int) -> Recipe:
    return Recipe(ADAMW, 2e-3, 0.05, epochs, batch=128)


_Trained = tuple[Callable[[], nn.Module], Recipe]

_KINDS: tuple[tuple[str, str, _Trained, _Trained | None], ...] = (
    (
        "plain",
        "stack of convolutions with max-pooling, without batch norm",
        (partial(PlainNetwork, 1, (8, 16, 24)), _DIGITS_ADAMW),
        (partial(PlainNetwork, 3, (24, 48, 96), stride=2), _cifar_adamw(60)),
    ),
    (
        "separable",
        "depthwise separable convolutions",
        (partial(SeparableNetwork, 1, (12, 24, 48)), _DIGITS_SGD),
        (partial(SeparableNetwork, 3, (32, 64, 128), stride=2), _cifar_sgd(60)),
    ),
    (
        "dense",
        "densely connected convolutions",
        (partial(DenseNetwork, 1, 6, (3, 3, 3)), _DIGITS_SGD),
        (partial(DenseNetwork, 3, 12, (4, 4, 4), stride=2), _cifar_sgd(40)),
    ),
    (
        "bottleneck",
        "residual bottlenecks with projected shortcuts",
        (partial(BottleneckNetwork, 1, (6, 8, 12)), _DIGITS_SGD),
        (partial(BottleneckNetwork, 3, (12, 24, 48), stride=2), _cifar_sgd(60)),
    ),
    (
        "excite",
        "residual blocks with squeeze and excitation",
        (partial(ExcitedNetwork, 1, (8, 16, 24)), _DIGITS_SGD),
        (partial(ExcitedNetwork, 3, (16, 32, 72), stride=2), _cifar_sgd(60)),
    ),
    (
        "modern",
        "large depthwise kernels, group norm and GELU",
        (partial(ModernNetwork, 1, (12, 16, 24), kernel=3), _DIGITS_ADAMW),
        (partial(ModernNetwork, 3, (32, 64, 96), patch=2), _cifar_adamw(40)),
    ),
    (
        "transformer",
        "vision transformer behind one convolution",
        (partial(TransformerNetwork, 1, 8, width=32, blocks=3), _DIGITS_ADAMW),
        (partial(TransformerNetwork, 3, 32, stride=2), _cifar_adamw(60)),
    ),
    (
        "narrow",
        "deep and narrow residual network",
        (partial(CifarResNet, 3, (4, 8, 16), channels_in=1), _DIGITS_SGD),
        (partial(CifarResNet, 3, (8, 16, 32)), _cifar_sgd(60)),
    ),
    (
        "wide",
        "shallow and wide residual network",
        (partial(CifarResNet, 1, (16, 32, 64), channels_in=1), _DIGITS_SGD),
        (partial(CifarResNet, 1, (20, 40, 80)), _cifar_sgd(40)),
    ),
    (
        "mixer",
        "perceptrons over positions and over features, with layer norm",
        (partial(MixerNetwork, 1, 8, width=24, blocks=3, patch=2), _DIGITS_ADAMW),
        None,
    ),
    (
        "grouped",
        "residual grouped convolutions with group norm and SiLU",
        (partial(GroupedNetwork, 1, (8, 16, 24)), _DIGITS_ADAMW),
        None,
    ),
    (
        "unnormed",
        "residual network without any norm",
        (partial(UnnormedNetwork, 1, (8, 12, 16)), _DIGITS_ADAMW),
        None,
    ),
    (
        "attentive",
        "residual convolutions, and self-attention at half the resolution",
        (partial(AttentiveNetwork, 1, (8, 24)), _DIGITS_ADAMW),
        None,
    ),
    (
        "gated",
        "perceptrons whose features gate each other across positions, with layer norm",
        (partial(TokenNetwork, 1, 8, width=24, blocks=4, patch=2, block=GatedBlock), _DIGITS_ADAMW),
        None,
    ),
    (
        "branched",
        "branches of different kernels side by side",
        (partial(BranchedNetwork, 1, (4, 6, 8)), _DIGITS_SGD),
        None,
    ),
    (
        "shuffled",
        "split and shuffled channels around separable convolutions",
        (partial(ShuffledNetwork, 1, (16, 24, 48)), _DIGITS_SGD),
        None,
    ),
    (
        "axial",
        "transformer with attention along rows and columns, norms after the shortcuts",
        (partial(TokenNetwork, 1, 8, width=32, blocks=3, patch=2, block=AxialBlock), _DIGITS_ADAMW),
        None,
    ),
    (
        "inverted",
        "inverted residuals with linear bottlenecks",
        (partial(InvertedNetwork, 1, (8, 12, 16)), _DIGITS_SGD),
        None,
    ),
    (
        "pooling",
        "pooling in place of attention, group norm over all channels",
        (partial(PoolingNetwork, 1, (12, 16, 24)), _DIGITS_ADAMW),
        None,
    ),
    (
        "hourglass",
        "down to a coarse resolution and up again, finer maps stacked on the way",
        (partial(HourglassNetwork, 1, (8, 12, 16)), _DIGITS_SGD),
        None,
    ),
    (
        "token",
        "transformer with a class token, gated perceptrons and root-mean-square norm",
        (partial(ClassTokenNetwork, 1, 8, width=32, blocks=3, patch=2), _DIGITS_ADAMW),
        None,
    ),
    (
        "recurrent",
        "gated recurrent units over rows, in both directions",
        (partial(RecurrentNetwork, 1, 8, channels=4, width=16, blocks=3), _DIGITS_ADAMW),
        None,
    ),
    (
        "latent",
        "learned vectors that read patches by attention",
        (
            partial(LatentNetwork, 1, 8, count=8, width=32, features=24, blocks=2, patch=2),
            _DIGITS_ADAMW,
        ),
        None,
    ),
    (
        "dilated",
        "gated dilated convolutions whose blocks each add to the answer",
        (partial(DilatedNetwork, 1, 12, (1, 2, 3, 1, 2)), _DIGITS_SGD),
        None,
    ),
    (
        "multiscale",
        "residual blocks that convolve part after part of their channels",
        (partial(MultiscaleNetwork, 1, (16, 32), parts=4), _DIGITS_SGD),
        None,
    ),
)

ZOO: tuple[Member, ...] = tuple(
    Member(f"{kind}-{data_set}", f"{description}, on {title}", data_set, *trained)
    for kind, description, digits, cifar in _KINDS
    for data_set, title, trained in (
        ("digits", "the digits of scikit-learn", digits),
        ("cifar10", "CIFAR-10", cifar),
    )
    if trained is not None
)
"""Every network of the zoo, each kind on digits, and most on CIFAR-10, too."""
