"""Layers whose weight has other axes first, run by a weight that has the output channels first.

torch's transposed convolutions keep their weight as (in, out / groups, ...), and the `Conv1D` of
transformers as (in, out). Grids, statistics and files are of weights (out, ...): in a private copy
such layers have theirs so, and bring it back to their own form whenever they compute.
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks._aliases import held_places, places
from gp_emq.networks._derived import derived_class

_watched: list[bool] = []
"""Not empty while no module may read such a weight of another."""


@contextlib.contextmanager
def forward_alone_reads() -> Iterator[None]:
    """Inside the block, a network that reads such a weight without calling its layer is refused.

    It would find other axes first than in the network that was copied.
    """
    _watched.append(True)
    try:
        yield
    finally:
        _watched.pop()


class ChannelsFirst(nn.Module):
    """A layer whose weight has the output channels first, other than in the class it is of."""

    _computes = False

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Inside the block, the layer itself reads its weight."""
        self._computes = True
        try:
            yield
        finally:
            self._computes = False

    def __getattr__(self, name: str) -> Any:
        """Give parameters, buffers and modules, but no weight to a forward that is another's."""
        if name == "weight" and _watched and not self._computes:
            raise NetworkError(
                f"the network reads the weight of a {kind_name(self)} without calling it, where "
                "it would have other axes first than in the copy that is quantized: call the layer"
            )
        return super().__getattr__(name)

    def own_form(self, weight: Tensor) -> Tensor:
        """Bring a weight (out, ...) to the form that the class of the layer has it in."""
        raise NotImplementedError

    def channels_first(self, weight: Tensor) -> Tensor:
        """Bring a weight in the form of the layer's class to (out, ...)."""
        raise NotImplementedError


class _Transposed(ChannelsFirst):
    """A transposed convolution whose weight is (out, in / groups, ...)."""

    groups: int

    def own_form(self, weight: Tensor) -> Tensor:
        """Bring a weight (out, in / groups, ...) to (in, out / groups, ...)."""
        return _exchanged(weight, self.groups)

    def channels_first(self, weight: Tensor) -> Tensor:
        """Bring a weight (in, out / groups, ...) to (out, in / groups, ...)."""
        return _exchanged(weight, self.groups)

    def _convolve(
        self, value: Tensor, output_size: list[int] | None, function: Callable[..., Tensor]
    ) -> Tensor:
        layer = cast("nn.ConvTranspose2d", self)
        padding = layer._output_padding(
            value,
            output_size,
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.kernel_size,  # type: ignore[arg-type]
            len(layer.kernel_size),
            layer.dilation,  # type: ignore[arg-type]
        )
        with self.computing():
            return function(
                value, self.own_form(layer.weight), layer.bias, layer.stride, layer.padding,
                padding, layer.groups, layer.dilation,
            )  # fmt: skip


class ConvTranspose1d(_Transposed, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` by a weight (out, in / groups, k)."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 - as torch has it
        """Convolve (n, in, l) or (in, l)."""
        return self._convolve(input, output_size, F.conv_transpose1d)


class ConvTranspose2d(_Transposed, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` by a weight (out, in / groups, kh, kw)."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 - as torch has it
        """Convolve (n, in, h, w) or (in, h, w)."""
        return self._convolve(input, output_size, F.conv_transpose2d)


class ConvTranspose3d(_Transposed, nn.ConvTranspose3d):
    """`torch.nn.ConvTranspose3d` by a weight (out, in / groups, kd, kh, kw)."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 - as torch has it
        """Convolve (n, in, d, h, w) or (in, d, h, w)."""
        return self._convolve(input, output_size, F.conv_transpose3d)


class Conv1D(ChannelsFirst, nn.Linear):
    """The `Conv1D` of transformers, which is a product, by a weight (out, in)."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        with self.computing():
            return F.linear(x, self.weight, self.bias)

    def own_form(self, weight: Tensor) -> Tensor:
        """Bring a weight (out, in) to (in, out)."""
        return weight.T

    def channels_first(self, weight: Tensor) -> Tensor:
        """Bring a weight (in, out) to (out, in)."""
        return weight.T


TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
_OF_TORCH = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def kind_name(module: nn.Module) -> str:
    """Name the class of a layer as its library has it."""
    kinds = (*TRANSPOSED, Conv1D)
    return next(kind.__name__ for kind in kinds if isinstance(module, kind))


def put_channels_first(model: nn.Module) -> None:
    """Turn the weights of the layers of a private copy around where their channels are not first.

    Left as they are: layers with a forward of their own, and those whose weight is elsewhere in
    the network as well, in another form.

    Args:
        model: A copy; changed in place.
    """
    uses = Counter(id(value) for _, _, value in places(model))
    uses.update(id(place.tensor) for place in held_places(model))
    sharing: dict[int, list[nn.Module]] = defaultdict(list)
    for module in model.modules():
        if _form_of(module) is not None and module._parameters.get("weight") is not None:
            sharing[id(module._parameters["weight"])].append(module)
    for key, modules in sharing.items():
        forms = {(_form_of(module), getattr(module, "groups", 1)) for module in modules}
        if len(forms) == 1 and uses[key] == len(modules):
            _turn(modules)


def _turn(modules: list[nn.Module]) -> None:
    """Let layers of one form with one weight have it with the channels first."""
    form = _form_of(modules[0])
    weight = modules[0]._parameters["weight"]
    assert form is not None  # noqa: S101 - narrows; the caller looked
    assert weight is not None  # noqa: S101
    for module in modules:
        module.__class__ = derived(form, type(module))
        if form is Conv1D:
            module.__dict__["in_features"], module.__dict__["out_features"] = weight.shape
    first = modules[0]
    assert isinstance(first, ChannelsFirst)  # noqa: S101 - narrows; it was made one
    values = first.channels_first(weight.detach()).contiguous()
    turned = nn.Parameter(values, requires_grad=weight.requires_grad)
    for module in modules:
        module._parameters["weight"] = turned


def with_own_axes(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring tensors of a private copy to the form that they have in the network it is a copy of.

    Args:
        model: The copy.
        tensors: By name.
    """
    layers = _turned(model)
    return {
        name: layers[name].own_form(value) if name in layers else value
        for name, value in tensors.items()
    }


def with_channels_first(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `with_own_axes`.

    Args:
        model: The copy.
        tensors: By name; what has another shape than there is left as it is.
    """
    layers = _turned(model)
    own = {name: layer.own_form(layer.get_parameter("weight")) for name, layer in layers.items()}
    return {
        name: layers[name].channels_first(value)
        if name in layers and value.shape == own[name].shape
        else value
        for name, value in tensors.items()
    }


def _turned(model: nn.Module) -> dict[str, ChannelsFirst]:
    """Give the layers of a private copy whose weights were turned, by the weights' names."""
    return {
        f"{name}.weight" if name else "weight": module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, ChannelsFirst)
    }


def derived(form: type[nn.Module], given: type[nn.Module]) -> type[nn.Module]:
    """Give the class that computes as a form says, and has all else of another class."""
    if given in form.__mro__ or form is Conv1D:
        return form
    return derived_class(given.__name__, form, given)


def _form_of(module: nn.Module) -> type[ChannelsFirst] | None:
    """Say as what a module can be run; None where its weight is as it should be, or its own."""
    if isinstance(module, ChannelsFirst) or "forward" in module.__dict__:
        return None
    for ours, theirs in zip(TRANSPOSED, _OF_TORCH, strict=True):
        if isinstance(module, theirs) and type(module).forward is theirs.forward:
            return ours
    kind = type(module)
    if kind.__name__ == "Conv1D" and kind.__module__.partition(".")[0] == "transformers":
        weight = module._parameters.get("weight")
        return Conv1D if weight is not None and weight.dim() == 2 else None
    return None


def _exchanged(weight: Tensor, groups: int) -> Tensor:
    """Exchange the first two axes within each group: (g·a, b, ...) becomes (g·b, a, ...)."""
    if groups == 1:
        return weight.transpose(0, 1)
    apart = weight.reshape(groups, -1, *weight.shape[1:])
    return torch.flatten(apart.transpose(1, 2), 0, 1)
