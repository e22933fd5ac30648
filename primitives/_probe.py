"""What operators and terminals must stand before a primitive set takes them."""

import torch

from gp_emq.errors import PrimitiveSetError
from primitives._operator import Kind, Operator
from primitives._terminals import Terminal
from primitives._types import TREE_TYPES

_SHAPE = (3, 4)
_PROBES = {
    "zeros": torch.zeros(_SHAPE),
    "negative ones": -torch.ones(_SHAPE),
    "mixed signs": torch.linspace(-2, 2, 12).reshape(_SHAPE),
    "tiny": torch.full(_SHAPE, 1e-30),
    "huge": torch.full(_SHAPE, 1e30),
}
_RESULT_SHAPES = {
    Kind.ELEMENTWISE: _SHAPE,
    Kind.NORMALISER: _SHAPE,
    Kind.REDUCTION: _SHAPE[:1],
    Kind.MATRIX: (3, 3),
    Kind.MATRIX_REDUCTION: (),
}


def check_total(operator: Operator) -> None:
    """Check that an operator is total: no exception, the right shape, floating point.

    Args:
        operator: The operator about to be registered; structures are made of checked operators
            and pass.

    Raises:
        PrimitiveSetError: It raises, or gives a wrong shape or type, on zeros, negative ones,
            mixed signs, tiny or huge values.
    """
    if operator.kind is Kind.STRUCTURE:
        return
    for name, probe in _PROBES.items():
        arguments: list[torch.Tensor | float] = [probe] * operator.arity
        if operator.kind is Kind.MATRIX_REDUCTION:
            arguments = [probe[:, :3]]
        elif operator.name == "power":
            arguments = [probe, 0.5]
        elif operator.name == "times_bits":
            arguments = [probe, probe]
        try:
            result = operator.function(*arguments)
        except Exception as error:
            raise PrimitiveSetError(
                f"operator {operator.name!r} raises {type(error).__name__} on {name}: "
                f"{' '.join(str(error).split())}"
            ) from error
        expected = _RESULT_SHAPES[operator.kind]
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            raise PrimitiveSetError(
                f"operator {operator.name!r} must give a floating-point tensor on {name}, "
                f"got {getattr(result, 'dtype', type(result).__name__)}"
            )
        if tuple(result.shape) != expected:
            raise PrimitiveSetError(
                f"operator {operator.name!r} gives shape {tuple(result.shape)} on {name}, "
                f"but a {operator.kind.value} operator must give {expected}"
            )


def check_declared(item: Operator | Terminal) -> None:
    """Check that expressions can hold an operator or terminal and formulas can write it.

    Args:
        item: One of a user's own.

    Raises:
        PrimitiveSetError: Its name is none that an expression can hold, its type is none of the
            trees', or its template does not fit its number of arguments.
    """
    if not (item.name.isascii() and item.name.isidentifier()):
        raise PrimitiveSetError(
            f"{item.name!r} cannot be a name in expressions; use letters, digits and underscores, "
            "a letter first"
        )
    if isinstance(item, Terminal):
        if item.type not in TREE_TYPES:
            kinds = ", ".join(kind.__name__ for kind in TREE_TYPES)
            raise PrimitiveSetError(
                f"terminal {item.name!r} has type {item.type.__name__}, not one of {kinds}"
            )
        return
    try:
        item.template.format(*"xyz"[: item.arity])
    except (LookupError, ValueError) as error:
        raise PrimitiveSetError(
            f"operator {item.name!r} has {item.arity} arguments, which its template "
            f"{item.template!r} does not fit: {error}"
        ) from error
