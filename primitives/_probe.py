"""What operators and terminals of a user's own must stand before a primitive set takes them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from gp_emq.errors import PrimitiveSetError
from primitives._catalogue import OPERATORS
from primitives._guard import expected_shape, result_types
from primitives._identities import Identity, Pattern
from primitives._operator import Operator, Role
from primitives._terminals import Terminal
from primitives._types import TREE_TYPES, Matrices

_SHAPE = (3, 4)
_PROBES = {
    "zeros": torch.zeros(_SHAPE),
    "negative ones": -torch.ones(_SHAPE),
    "mixed signs": torch.linspace(-2, 2, 12).reshape(_SHAPE),
    "tiny": torch.full(_SHAPE, 1e-30),
    "huge": torch.full(_SHAPE, 1e30),
}
_OTHER_SHAPES = ((5,), (2, 3, 2, 2))
"""Vectors, and weights of convolutions: what works element by element or by layer takes any."""

_Arguments = tuple[torch.Tensor, ...]


def check_operator(operator: Operator) -> None:
    """Check that an operator is total, and what its kind says.

    It must not raise; it must leave its arguments as they are, and give a tensor of the right
    shape and of their type, the same every time. What works element by element or row by row must
    not look at other elements or rows, since tensors come in pieces; and it must have the algebraic
    properties that it is declared to have, by which canonical forms fold.

    Args:
        operator: The operator about to be registered; structures are made of checked operators
            and pass.

    Raises:
        PrimitiveSetError: It is not so on zeros, negative ones, mixed signs, tiny or huge values.
    """
    if operator.kind is Role.STRUCTURE:
        return
    for name, arguments in _probes(operator):
        for dtype in (torch.float32, torch.float64):
            _check_call(operator, name, tuple(x.to(dtype) for x in arguments))
    mixed = torch.linspace(-2, 3, 12).reshape(_SHAPE)
    if operator.kind in (Role.ELEMENTWISE, Role.REDUCTION):
        _check_independence(operator, tuple(mixed + place for place in range(operator.arity)))
    square = mixed[:, :3] if operator.kind is Role.MATRIX_REDUCTION else mixed
    _check_algebra(operator, square)
    for text in operator.identities:
        _check_identity(operator, text, mixed)


_Function = Callable[..., torch.Tensor]
_LAWS: dict[tuple[str, int], Callable[[_Function, torch.Tensor], _Arguments]] = {
    ("involution", 1): lambda f, x: (f(f(x)), x),
    ("idempotent", 1): lambda f, x: (f(f(x)), f(x)),
    ("even", 1): lambda f, x: (f(-x), f(x)),
    ("odd", 1): lambda f, x: (f(-x), -f(x)),
    ("of_magnitude", 1): lambda f, x: (f(x.abs()), f(x)),
    ("non_negative", 1): lambda f, x: (f(x), f(x).abs()),
    ("keeps_zero", 1): lambda f, x: (f(x * 0), f(x * 0) * 0),
    ("keeps_non_negative", 1): lambda f, x: (f(x.abs()), f(x.abs()).abs()),
    ("commutative", 2): lambda f, x: (f(x, 1 - x), f(1 - x, x)),
    ("antisymmetric", 2): lambda f, x: (f(x, 1 - x), -f(1 - x, x)),
    ("odd_in_each", 2): lambda f, x: (
        torch.stack([f(-x, 1 - x), f(x, x - 1)]), -torch.stack([f(x, 1 - x)] * 2)
    ),
    ("non_negative", 2): lambda f, x: (f(x, 1 - x), f(x, 1 - x).abs()),
    ("keeps_non_negative", 2): lambda f, x: (
        f(x.abs(), (1 - x).abs()), f(x.abs(), (1 - x).abs()).abs()
    ),
}  # fmt: skip
"""What must be equal where an operator is declared to be something."""


def _check_algebra(operator: Operator, x: torch.Tensor) -> None:
    """Try the properties that an operator is declared to have."""
    function = partial(_call_with, operator)
    for (law, arity), sides in _LAWS.items():
        if getattr(operator, law) and operator.arity == arity and not _same(*sides(function, x)):
            raise PrimitiveSetError(
                f"operator {operator.name!r} is declared {law}, but is not: mixed signs give "
                "something else"
            )
    for other, both in ((operator.mirror, _mirrors), (operator.converse, _swaps)):
        if other and not (
            other in OPERATORS
            and operator.arity == OPERATORS[other].arity
            and _same(*both(function, partial(_call_with, OPERATORS[other]), x))
        ):
            raise PrimitiveSetError(
                f"operator {operator.name!r} is declared to go with {other!r}, but does not"
            )


def _mirrors(f: _Function, g: _Function, x: torch.Tensor) -> _Arguments:
    return f(-x), -g(x)


def _swaps(f: _Function, g: _Function, x: torch.Tensor) -> _Arguments:
    return f(x, 1 - x), g(1 - x, x)


def _check_identity(operator: Operator, text: str, x: torch.Tensor) -> None:
    """Try an identity of an operator of a user's own and built-in ones."""
    identity = Identity.read(text)
    known = {**OPERATORS, operator.name: operator}
    letters = {"x": x, "y": 1 - x, "z": x * x - 3, "c": torch.tensor(1.75)}
    if identity.non_negative:
        letters[identity.non_negative] = letters[identity.non_negative].abs()

    def value(pattern: Pattern) -> torch.Tensor:
        if pattern.arguments:
            return _call_with(known[pattern.name], *map(value, pattern.arguments))
        if pattern.name in ("0", "1"):
            return torch.full_like(x, float(pattern.name))
        return letters[pattern.name]

    try:
        holds = identity.left.name == operator.name and _same(
            value(identity.left), value(identity.right)
        )
    except LookupError as error:
        raise PrimitiveSetError(
            f"identity {text!r} of operator {operator.name!r} has {error}; it may have x, y, z, 0, "
            "1 and operators"
        ) from None
    if not holds:
        raise PrimitiveSetError(f"identity {text!r} of operator {operator.name!r} does not hold")


def _call_with(operator: Operator, *arguments: torch.Tensor) -> torch.Tensor:
    return _call(operator, "mixed signs", arguments)


def _probes(operator: Operator) -> Iterator[tuple[str, _Arguments]]:
    """Give what an operator is tried on, in words and as tensors."""
    square = operator.kind is Role.MATRIX_REDUCTION
    for name, probe in _PROBES.items():
        yield name, (probe[:, :3] if square else probe,) * operator.arity
    ramp = torch.linspace(-2, 2, 24)
    if operator.kind in (Role.ELEMENTWISE, Role.NORMALISER):
        for shape in _OTHER_SHAPES:
            part = ramp[: torch.Size(shape).numel()].reshape(shape)
            yield f"a tensor of shape {shape}", (part,) * operator.arity
    if operator.kind in (Role.ELEMENTWISE, Role.REDUCTION) and operator.arity == 2:
        table, row = ramp[:12].reshape(_SHAPE), ramp[:4]
        # Perturbations of every width meet the weights.
        yield "a tensor and one with a bit axis", (row, table)
        if not operator.commutative:
            yield "a tensor with a bit axis and one without", (table, row)


def _check_call(operator: Operator, name: str, arguments: _Arguments) -> None:
    given = tuple(argument.clone() for argument in arguments)
    result = _call(operator, name, given)
    if not isinstance(result, torch.Tensor) or not result.is_floating_point():
        raise PrimitiveSetError(
            f"operator {operator.name!r} must give a floating-point tensor on {name}, "
            f"got {getattr(result, 'dtype', type(result).__name__)}"
        )
    expected = expected_shape(operator.kind, list(arguments))
    if tuple(result.shape) != expected:
        raise PrimitiveSetError(
            f"operator {operator.name!r} gives shape {tuple(result.shape)} on {name}, "
            f"but a {operator.kind.value} operator must give {expected}"
        )
    if result.dtype not in result_types(operator.kind, arguments[0].dtype):
        raise PrimitiveSetError(
            f"operator {operator.name!r} gives {result.dtype} for {arguments[0].dtype} on {name}; "
            "it must keep the type"
        )
    first = result.clone()
    if not all(torch.equal(x, before) for x, before in zip(given, arguments, strict=True)):
        raise PrimitiveSetError(
            f"operator {operator.name!r} changes its argument in place on {name}; it must give a "
            "new tensor"
        )
    again = _call(operator, name, tuple(argument.clone() for argument in arguments))
    if not torch.equal(torch.nan_to_num(first), torch.nan_to_num(again)):
        raise PrimitiveSetError(
            f"operator {operator.name!r} gives something else each time it is called on {name}; "
            "the same argument must give the same result"
        )


def _check_independence(operator: Operator, arguments: Sequence[torch.Tensor]) -> None:
    """Compare all rows at once with each row by itself, and elements likewise."""
    whole = _call(operator, "mixed signs", tuple(arguments))
    rows = [_call(operator, "mixed signs", row) for row in zip(*arguments, strict=True)]
    pieces, what = torch.stack(rows), "rows"
    if operator.kind is Role.ELEMENTWISE and _same(whole, pieces):
        halves = [
            _call(operator, "mixed signs", tuple(x[:, part] for x in arguments))
            for part in (slice(0, 1), slice(1, None))
        ]
        pieces, what = torch.cat(halves, dim=1), "elements"
    if not _same(whole, pieces):
        raise PrimitiveSetError(
            f"operator {operator.name!r} is declared {operator.kind.value}, but what it gives "
            f"depends on other {what}, and tensors come in pieces; a normaliser sees whole layers"
        )


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two results agree but for rounding."""
    return torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)


def _call(operator: Operator, name: str, arguments: _Arguments) -> torch.Tensor:
    try:
        return operator.function(*arguments)
    except Exception as error:
        raise PrimitiveSetError(
            f"operator {operator.name!r} raises {type(error).__name__} on {name}: "
            f"{' '.join(str(error).split())}"
        ) from error


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
        kinds_of_leaves = [kind for kind in TREE_TYPES if kind is not Matrices]
        if item.type not in kinds_of_leaves:
            kinds = ", ".join(kind.__name__ for kind in kinds_of_leaves)
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
