"""What stands between an operator or terminal of a user's own and everybody else's tensors.

Built-in operators are total and leave their arguments alone; a user's may raise on one shape in a
thousand, write into what they are given, or give something of another shape. They are handed
copies, what they give is looked at, and what goes wrong is an `OperatorError`, which costs the tree
that the operator stands in and no other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch

from gp_emq.errors import OperatorError, is_out_of_memory
from primitives._operator import Operator, Role
from primitives._terminals import Terminal

_Thing = TypeVar("_Thing", Operator, Terminal)


def guarded(item: _Thing) -> _Thing:
    """Give an operator or terminal that gets copies and whose failures are `OperatorError`."""
    own: dict[str, Any] = (
        {
            "function": _GuardedFunction(item),
            "kernel": None,
            "accumulator": None,
            "affine": None,
        }
        if isinstance(item, Operator)
        else {"compute": _GuardedTerminal(item.name, item.compute)}
    )
    return replace(item, **own)


def is_guarded(item: Operator | Terminal) -> bool:
    """Say whether an operator or terminal is a user's own code."""
    code = item.function if isinstance(item, Operator) else item.compute
    return isinstance(code, _GuardedFunction | _GuardedTerminal)


@dataclass(frozen=True)
class _GuardedFunction:
    operator: Operator

    def __call__(self, *arguments: torch.Tensor | float) -> torch.Tensor:
        result: torch.Tensor = _called(self.operator.name, self.operator.function, arguments)
        complaint = self._complaint(result, [x for x in arguments if isinstance(x, torch.Tensor)])
        if complaint:
            raise OperatorError(self.operator.name, complaint)
        return result

    def _complaint(self, result: Any, tensors: list[torch.Tensor]) -> str:
        if not isinstance(result, torch.Tensor):
            return f"gives a {type(result).__name__}, not a tensor"
        if tuple(result.shape) != expected_shape(self.operator.kind, tensors):
            return "gives a wrong shape"
        if result.dtype not in result_types(self.operator.kind, tensors[0].dtype):
            return f"gives {result.dtype} for {tensors[0].dtype}"
        return ""


@dataclass(frozen=True)
class _GuardedTerminal:
    name: str
    compute: Callable[..., torch.Tensor]

    def __call__(self, *statistics: torch.Tensor) -> torch.Tensor:
        result = _called(self.name, self.compute, statistics)
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            raise OperatorError(self.name, "gives no floating-point tensor")
        return result


def _called(name: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    given = [x.clone() if isinstance(x, torch.Tensor) else x for x in arguments]
    try:
        return function(*given)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        text = " ".join(str(error).split())
        raise OperatorError(name, f"raises {type(error).__name__}", text) from error


def expected_shape(kind: Role, arguments: list[torch.Tensor]) -> tuple[int, ...]:
    """Give the shape that an operator's result must have.

    Args:
        kind: The operator's kind; no structure.
        arguments: Its tensors.
    """
    if kind is Role.MATRIX:
        return (len(arguments[0]), len(arguments[-1]))
    if kind is Role.MATRIX_REDUCTION:
        return ()
    shape = np.broadcast_shapes(*(argument.shape for argument in arguments))
    return shape[:-1] if kind is Role.REDUCTION else shape


def result_types(kind: Role, given: torch.dtype) -> tuple[torch.dtype, ...]:
    """Give the types that an operator's result may have: its argument's; reductions may widen."""
    return (given, torch.float64) if kind is Role.REDUCTION else (given,)
