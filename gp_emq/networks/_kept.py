"""Why a weight of a network is in no layer, and so stays in float."""

from collections.abc import Collection, Iterable, Iterator

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.rnn import RNNBase, RNNCellBase

from gp_emq.networks._attention import Projection
from gp_emq.networks._beside import Beside
from gp_emq.networks._embeddings import renormed_weights
from gp_emq.networks._own_form import in_own_form
from gp_emq.networks._tracing import QUANTIZABLE

EXCLUDED = "the plan leaves its layer in float"
_RENORMED = "max_norm changes it as it is used"
_COMPLEX = "complex numbers"
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, _NormBase)
_KINDS: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], str], ...] = (
    ((RNNBase, RNNCellBase), "its weights are no layer of one product"),
    (nn.EmbeddingBag, "it sums rows of its weight"),
    (nn.MultiheadAttention, "its projections are no layers of their own"),
    (_NORMS, "normalisation"),
    (nn.Bilinear, "a product of two inputs"),
)
_BESIDE_SEQUENCE = "bias_k", "bias_v"
NOT_CALLED = "no sample calls it: its weight is used outside of it, or not at all"
NOT_GIVEN = "it is none of the layers that were asked for"
_OTHER_FORM = "it computes by itself, or its weight is elsewhere in another form"


def weights_kept(
    model: nn.Module, quantized: Collection[Tensor], left: Collection[Tensor], *, unlisted: str
) -> Iterator[tuple[str, Tensor, str]]:
    """Give the weights (two axes or more) that are not quantized, with the reason of each.

    Args:
        model: A private copy.
        quantized: Weights of the layers that are.
        left: Weights of layers that could be.
        unlisted: The reason of other weights of modules that may be layers.

    Yields:
        Name, weight and reason.
    """
    known, others = {id(value) for value in quantized}, {id(value) for value in left}
    renormed = renormed_weights(model)
    modules = dict(model.named_modules())
    for name, value in model.named_parameters():
        if value.dim() < 2 or id(value) in known:
            continue
        if id(value) in others:
            reason = EXCLUDED
        elif id(value) in renormed:
            reason = _RENORMED
        elif value.is_complex():
            reason = _COMPLEX
        else:
            path, _, attribute = name.rpartition(".")
            reason = _reason(modules[path], attribute, unlisted)
        yield name, value.detach(), reason


def reasons_kept(
    model: nn.Module,
    quantized: Collection[Tensor],
    left: Collection[Tensor] = (),
    *,
    unlisted: str = NOT_CALLED,
    beside: Iterable[Beside] = (),
) -> dict[str, str]:
    """Give the reasons of `weights_kept` by the names in the network that a copy is of.

    Args:
        model: A private copy.
        quantized: Weights of the layers that are quantized.
        left: Weights of layers that could be.
        unlisted: The reason of other weights of modules that may be layers; by default that no
            sample calls these, which is so where `quantized` and `left` are all that are called.
        beside: What the network multiplies with and is no parameter, see `multiplied_beside`.
    """
    values: dict[str, Tensor] = {}
    reasons: dict[str, str] = {}
    for name, value, reason in weights_kept(model, quantized, left, unlisted=unlisted):
        values[name], reasons[name] = value, reason
    # What is packed in the network has the reason of the first that was packed in it.
    own = {
        name: reasons.get(name) or next(of for part, of in reasons.items() if _within(part, name))
        for name in in_own_form(model, values)
    }
    return own | {tensor.name: _reason_beside(tensor) for tensor in beside}


def _within(part: str, name: str) -> bool:
    return part.startswith(f"{name.rpartition('.')[0]}.")


def _reason_beside(tensor: Beside) -> str:
    return f"{tensor.kind}: {tensor.what}, that it multiplies with"


def _reason(module: nn.Module, attribute: str, unlisted: str) -> str:
    kind = (nn.MultiheadAttention if isinstance(module, Projection) else type(module)).__name__
    if isinstance(module, nn.MultiheadAttention) and attribute in _BESIDE_SEQUENCE:
        return f"{kind}: a key or a value of its own, which is no layer's weight"
    for kinds, what in _KINDS:
        if isinstance(module, kinds):
            return f"{kind}: {what}"
    if attribute == "weight" and isinstance(module, QUANTIZABLE):
        return f"{kind}: {unlisted}"
    if attribute == "weight" and (isinstance(module, _TRANSPOSED) or kind == "Conv1D"):
        return f"{kind}: {_OTHER_FORM}"
    return f"{kind}: a parameter of its own, which is no layer's weight"
