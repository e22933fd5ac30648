"""Watching what goes into modules and what comes out of them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks._attention import Projection
from gp_emq.networks._channels_first import TRANSPOSED, Conv1D
from gp_emq.networks._embeddings import Embedding


@dataclass(frozen=True)
class Call:
    """One call of a module's forward.

    Attributes:
        arguments: its positional arguments, as the user's pre-hooks left them (or found them).
        named: its keyword arguments.
        output: what forward gave, before the user's hooks (or after them) and before anything
            that works in place.
    """

    arguments: tuple[Any, ...]
    named: Mapping[str, Any]
    output: Tensor

    @property
    def input(self) -> Tensor:
        """What a layer is fed, however it is named."""
        return input_of(self.arguments, self.named)


def input_of(arguments: Sequence[Any], named: Mapping[str, Any]) -> Tensor:
    """Return the tensor among a layer's arguments that its weight is applied to.

    Args:
        arguments: the positional arguments; the first is the input.
        named: the keyword arguments; where there are no others, `input` or the only tensor.

    Raises:
        NetworkError: if there is no such tensor.
    """
    tensors = [value for value in named.values() if isinstance(value, Tensor)]
    chosen = arguments[0] if arguments else named.get("input", tensors[0] if tensors else None)
    if not isinstance(chosen, Tensor):
        raise NetworkError(f"a layer was fed {type(chosen).__name__} instead of a tensor")
    return chosen


def with_input(
    arguments: Sequence[Any], named: Mapping[str, Any], value: Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a layer's arguments with another tensor in the place of its input."""
    if arguments:
        return (value, *arguments[1:]), dict(named)
    old = input_of(arguments, named)
    return (), {name: value if other is old else other for name, other in named.items()}


@contextlib.contextmanager
def watching(
    modules: Sequence[nn.Module], *, around_hooks: bool = False
) -> Iterator[list[list[Call]]]:
    """Record every call of some modules inside the block.

    What follows a module gets a copy of its output, so that a ReLU that works in place changes
    the copy and the record stays the module's own output. Inputs are copied where no gradient
    is recorded; where one is, autograd itself refuses what changes them.

    Args:
        modules: the modules; one that is named twice shares its record.
        around_hooks: record what the module was called with before the user's pre-hooks, and
            what it gave after the user's hooks, instead of what is between them.

    Yields:
        The calls of each module, in order, as they come.
    """
    records: dict[nn.Module, list[Call]] = {module: [] for module in modules}
    taken: dict[nn.Module, tuple[tuple[Any, ...], Mapping[str, Any]]] = {}

    def before(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if not torch.is_grad_enabled():
            arguments, named = with_input(arguments, named, input_of(arguments, named).clone())
        taken[module] = arguments, named

    def after(
        module: nn.Module, _arguments: tuple[Any, ...], _named: dict[str, Any], output: Any
    ) -> Tensor:
        given = _tensor_of(module, output)
        records[module].append(Call(*taken.pop(module), given))
        return given.clone()

    with contextlib.ExitStack() as stack:
        for module in records:
            first = module.register_forward_pre_hook(before, prepend=around_hooks, with_kwargs=True)
            stack.callback(first.remove)
            last = module.register_forward_hook(after, prepend=not around_hooks, with_kwargs=True)
            stack.callback(last.remove)
        yield [records[module] for module in modules]


@contextlib.contextmanager
def showing(
    modules: Sequence[nn.Module], see: Callable[[nn.Module, Tensor], None]
) -> Iterator[None]:
    """Show what some modules give inside the block, before the user's hooks and what follows.

    Nothing is copied: what is to be kept is for the one who sees it to copy.

    Args:
        modules: the modules.
        see: called with a module and its output, each time that it gives one.
    """

    def after(module: nn.Module, _arguments: tuple[Any, ...], output: Any) -> None:
        see(module, _tensor_of(module, output))

    with contextlib.ExitStack() as stack:
        for module in dict.fromkeys(modules):
            stack.callback(module.register_forward_hook(after, prepend=True).remove)
        yield


def _tensor_of(module: nn.Module, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise NetworkError(f"a {type(module).__name__} gave {type(output).__name__}: no tensor")
    return output


def zero_bias(module: nn.Module) -> dict[str, Tensor]:
    """Return zeros for a layer's bias by its name; nothing where it has none."""
    bias = getattr(module, "bias", None)
    return {"bias": torch.zeros_like(bias)} if isinstance(bias, Tensor) else {}


_HOOKS: tuple[Callable[[nn.Module], Mapping[int, Any]], ...] = (
    lambda module: module._forward_hooks,
    lambda module: module._forward_pre_hooks,
    lambda module: module._backward_hooks,
    lambda module: module._backward_pre_hooks,
)


_LINEAR_MAPS = {
    nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED, Conv1D, Projection, nn.Linear, nn.Embedding,
    Embedding,
}  # fmt: skip


def is_linear_map(module: nn.Module) -> bool:
    """Tell whether a module is torch's own convolution, Linear or Embedding, and nothing hooks in.

    Its forward is then linear in its weight, and its output is its weight applied to its first
    argument plus its bias. A subclass, a forward of its own or a hook may compute anything.
    """
    plain = type(module) in _LINEAR_MAPS and "forward" not in module.__dict__
    return plain and not any(hooks(module) for hooks in _HOOKS)


def gives_rows(module: nn.Module) -> bool:
    """Tell whether a module is an embedding whose output is rows of its weight, as they are."""
    return isinstance(module, nn.Embedding) and is_linear_map(module)
