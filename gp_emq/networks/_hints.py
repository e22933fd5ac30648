"""What a user may have meant by samples that a network fails on."""

from torch import Tensor, nn
from torch.utils import _pytree

from gp_emq.networks._samples import Samples

_COLOURS = (1, 3, 4)
_MISSING = ("required positional argument", "unexpected keyword argument")
_WITHOUT_SLOPE = ("not have been used in the graph", "does not require grad")


def described_samples(samples: Samples) -> str:
    """Say of what kind and shape samples are, for a message."""
    if isinstance(samples, Tensor):
        kind = "images" if samples.is_floating_point() else "whole numbers"
        return f"{kind} of shape {tuple(samples.shape)}"
    shapes = [tuple(leaf.shape) for leaf in _pytree.tree_leaves(samples)]
    return f"a {type(samples).__name__} of tensors of shapes {', '.join(map(str, shapes))}"


def hint_on(model: nn.Module, samples: Samples, error: Exception) -> str:
    """Say what would be right, where what a network was fed tells; empty where it does not.

    Args:
        model: the network.
        samples: what it was fed.
        error: what it raised.
    """
    if isinstance(error, TypeError) and any(words in str(error) for words in _MISSING):
        return (
            "; several inputs come as a dict by name or as ((first, second, ...), targets), and a "
            "forward of Workload feeds them in any other way"
        )
    if any(words in str(error) for words in _WITHOUT_SLOPE):
        return (
            "; where inputs of layers are rounded, no network can derive by its own: "
            "activation_bits=32 of quantize, or of CostSettings for plans, leaves them in float"
        )
    if not isinstance(samples, Tensor):
        return ""
    embeds = any(isinstance(module, nn.Embedding) for module in model.modules())
    if samples.is_floating_point():
        return _of_floats(samples, embeds=embeds)
    if isinstance(error, IndexError):
        return f"; these reach from {samples.min().item()} to {samples.max().item()}"
    return "" if embeds else "; int32 and int64 (n, steps) are fed as they are: give floats"


def _of_floats(samples: Tensor, *, embeds: bool) -> str:
    if embeds and samples.dim() == 2:
        return "; token ids are int64 or int32"
    if samples.dim() == 4 and samples.shape[1] not in _COLOURS and samples.shape[3] in _COLOURS:
        return (
            "; images are (n, channels, height, width), and these look as if their channels came "
            "last"
        )
    return ""
