"""A typed primitive set: DEAP's, with overloads, probing and a completeness check."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from deap import gp

from gp_emq.errors import PrimitiveSetError
from gp_emq.statistics import Statistic, add_statistic
from primitives._catalogue import OPERATORS, READ_BY_ALL, STATISTICS, TIMES_BITS, signatures_of
from primitives._elementwise import SCALED
from primitives._guard import guarded, is_guarded
from primitives._operator import Operator
from primitives._probe import check_declared, check_operator
from primitives._terminals import Terminal, leaf_of
from primitives._types import (
    EXPONENTS,
    NUMBER_TYPES,
    Activations,
    ActivationsPerBit,
    BinaryOperator,
    BitTable,
    Exponent,
    Factor,
    Input,
    LayerVector,
    Matrices,
    UnaryOperator,
    Weights,
    WeightsPerBit,
)

_Thing = TypeVar("_Thing", Operator, Terminal)

_ABBREVIATIONS: dict[type, str] = {
    Weights: "w", WeightsPerBit: "wb", Activations: "a", ActivationsPerBit: "ab", Matrices: "m",
    LayerVector: "v", BitTable: "t", Exponent: "c", Factor: "f", Input: "i",
    UnaryOperator: "u", BinaryOperator: "b",
}  # fmt: skip


@dataclass(frozen=True)
class Overload:
    """One signature of an operator, under the name DEAP knows it by."""

    name: str
    operator: Operator
    arguments: tuple[type, ...]
    result: type


class PrimitiveSet(gp.PrimitiveSetTyped):  # type: ignore[misc]
    """The typed operators and terminals a search may use.

    An operator is given by name, or as an `Operator` of one's own, and is registered for every
    signature whose argument types the set can build, each under a name of its own (DEAP silently
    overwrites a name that is registered twice). Expressions use the operator's plain name.

    Args:
        name: The set's name.
        description: One line for ``--list-primitives``.
        statistics: Terminals, by name (see `primitives.STATISTICS`), as a `Terminal`, or as a
            `Statistic` of one's own, which is then collected like any other.
        operators: Operators, by name (see `primitives.OPERATORS`) or as an `Operator`. Expressions
            of every set may have `power` and `scaled`, with any constant; `scaled` is never drawn.
        ends_in_bits: Whether a tree ends in ``LayerVector × bits → BitTable``, as all classical
            proxies do.
        unary_values: Unary operators that fixed structures choose from, by name.
        binary_values: Binary operators that fixed structures choose from, by name.
        inputs: Tensor statistics that fixed structures choose from, by name.
        scale_invariant: Whether a search rejects formulas that tell a layer from the same layer
            with its weights rescaled, where a batch norm undoes that.

    Raises:
        PrimitiveSetError: An unknown or repeated name, an operator of one's own that is not
            what it must be (see `primitives._probe`), or one whose argument types no terminal of
            the set can provide.
    """

    def __init__(
        self,
        name: str,
        description: str,
        *,
        statistics: Iterable[str | Terminal | Statistic] = (),
        operators: Iterable[str | Operator],
        ends_in_bits: bool = False,
        unary_values: Sequence[str] = (),
        binary_values: Sequence[str] = (),
        inputs: Sequence[str] = (),
        scale_invariant: bool = False,
    ) -> None:
        super().__init__(name, [], BitTable)
        self.name = name
        self.description = description
        self.scale_invariant = scale_invariant
        self.overloads: dict[str, Overload] = {}
        self.statistics: dict[str, Terminal] = {}
        self.operator_values: dict[str, Operator] = {}
        self._by_operator: dict[str, list[Overload]] = {}
        self._leaves: dict[str, dict[type, gp.Terminal]] = {}
        for statistic in statistics:
            own = isinstance(statistic, Statistic)
            item = leaf_of(statistic) if isinstance(statistic, Statistic) else statistic
            terminal = _look_up(item, STATISTICS, "statistic", name, collected=own)
            if isinstance(statistic, Statistic):
                add_statistic(statistic)
            self._add_statistic(terminal, terminal.type)
        for statistic in inputs:
            self._add_statistic(_look_up(statistic, STATISTICS, "statistic", name), Input)
        for names, kind in ((unary_values, UnaryOperator), (binary_values, BinaryOperator)):
            for operator_name in names:
                self._add_operator_value(_look_up(operator_name, OPERATORS, "operator", name), kind)
        found = [_look_up(operator, OPERATORS, "operator", name) for operator in operators]
        chosen = [operator for operator in found if operator is not SCALED]
        if ends_in_bits:
            chosen.append(TIMES_BITS)
        if any(operator.name == "power" for operator in chosen):
            for exponent in EXPONENTS:
                self._add_leaf(str(exponent), exponent, Exponent)
        self._register(chosen, only_at_root=BitTable if ends_in_bits else None)
        self.minimum_depths = self._minimum_depths()
        self._check_complete(chosen)

    def overloads_of(self, operator: str) -> tuple[Overload, ...]:
        """Give the signatures of an operator; none if the set lacks it."""
        return tuple(self._by_operator.get(operator, ()))

    def leaves(self, name: str) -> "tuple[gp.Terminal, ...]":
        """Find the terminals of a name: none, or one for each type it may have."""
        return tuple(self._leaves.get(name, {}).values())

    @property
    def operator_names(self) -> tuple[str, ...]:
        """The plain names of the operators that trees are drawn from, in order of registration."""
        return self._drawn

    def _add_leaf(self, name: str, value: object, kind: type) -> None:
        leaves = self._leaves.setdefault(name, {})
        if kind in leaves:
            raise PrimitiveSetError(f"primitive set {self.name!r} names {name!r} twice")
        # DEAP wants one type a name; a statistic may be both a tensor and an `Input`.
        self.context.setdefault(name, value)
        leaves[kind] = gp.Terminal(name, symbolic=True, ret=kind)
        self._add(leaves[kind])
        self.terms_count += 1

    def _add_statistic(self, terminal: Terminal, kind: type) -> None:
        self._add_leaf(terminal.name, terminal, kind)
        self.statistics[terminal.name] = terminal

    def _add_operator_value(self, operator: Operator, kind: type) -> None:
        self._add_leaf(operator.name, operator, kind)
        self.operator_values[operator.name] = operator

    def _register(self, operators: Sequence[Operator], only_at_root: type | None) -> None:
        buildable = self._leaf_types()
        candidates = [
            (operator, arguments, result)
            for operator in operators
            for arguments, result in signatures_of(operator)
            if only_at_root not in arguments
        ]
        growing = True
        while growing:
            reached = {
                result for _, arguments, result in candidates if buildable.issuperset(arguments)
            }
            growing = not reached <= buildable
            buildable |= reached
        for operator in operators:
            if operator.name in self._by_operator:
                raise PrimitiveSetError(
                    f"primitive set {self.name!r} names {operator.name!r} twice"
                )
            self._by_operator[operator.name] = []
        for operator, arguments, result in candidates:
            if buildable.issuperset(arguments):
                self._add_overload(operator, arguments, result)
        self._drawn = tuple(self._by_operator)
        for operator in READ_BY_ALL:
            if operator in operators:
                continue
            self._by_operator[operator.name] = []
            for arguments, result in signatures_of(operator):
                if result in buildable and result is not only_at_root:
                    self._add_overload(operator, arguments, result, drawn=False)

    def _add_overload(
        self, operator: Operator, arguments: tuple[type, ...], result: type, *, drawn: bool = True
    ) -> None:
        abbreviation = "_".join(_ABBREVIATIONS[argument] for argument in arguments)
        overload = Overload(f"{operator.name}__{abbreviation}", operator, arguments, result)
        self.overloads[overload.name] = overload
        self._by_operator[operator.name].append(overload)
        if drawn:
            self.addPrimitive(operator.function, list(arguments), result, name=overload.name)
        else:
            self.mapping[overload.name] = gp.Primitive(overload.name, list(arguments), result)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the statistics that trees of this set may ask for."""
        return tuple(
            sorted({name for terminal in self.statistics.values() for name in terminal.needs})
        )

    @property
    def has_own_code(self) -> bool:
        """Whether operators or terminals of a user's own are in it, which may fail or hang."""
        operators = [overload.operator for overload in self.overloads.values()]
        return any(map(is_guarded, (*operators, *self.operator_values.values()))) or any(
            map(is_guarded, self.statistics.values())
        )

    def numbers(self, value: float) -> "tuple[gp.Terminal, ...]":
        """Give the terminals of a number, one for each type that it may have.

        Args:
            value: Finite. One above 0 may be a `Factor`, and each an `Exponent`.
        """
        drawn = self._leaves.get(str(value), {})
        kinds = NUMBER_TYPES if value > 0 else (Exponent,)
        return tuple(
            drawn.get(kind) or gp.Terminal(str(value), symbolic=True, ret=kind) for kind in kinds
        )

    def _leaf_types(self) -> set[type]:
        return {kind for leaves in self._leaves.values() for kind in leaves}

    def _minimum_depths(self) -> dict[type, int]:
        depths: dict[type, int] = dict.fromkeys(self._leaf_types(), 0)
        changed = True
        while changed:
            changed = False
            for overload in self.overloads.values():
                if not all(argument in depths for argument in overload.arguments):
                    continue
                depth = 1 + max(depths[argument] for argument in overload.arguments)
                if depth < depths.get(overload.result, depth + 1):
                    depths[overload.result] = depth
                    changed = True
        return depths

    def _check_complete(self, operators: Sequence[Operator]) -> None:
        for operator in operators:
            if not self._by_operator[operator.name]:
                needed = sorted(
                    {
                        argument.__name__
                        for arguments, _ in signatures_of(operator)
                        for argument in arguments
                        if argument not in self.minimum_depths
                    }
                )
                raise PrimitiveSetError(
                    f"primitive set {self.name!r}: operator {operator.name!r} has nothing to act "
                    f"on; add a terminal of type {' or '.join(needed) or 'its own kind'}"
                )
        if BitTable not in self.minimum_depths:
            have = sorted(kind.__name__ for kind in self.minimum_depths) or ["nothing"]
            raise PrimitiveSetError(
                f"primitive set {self.name!r} cannot build a BitTable, only {', '.join(have)}; "
                "add ends_in_bits=True or a terminal of type WeightsPerBit, ActivationsPerBit or "
                "BitTable"
            )


def _look_up(
    item: str | _Thing,
    known: dict[str, _Thing],
    what: str,
    set_name: str,
    *,
    collected: bool = False,
) -> _Thing:
    """Find a built-in item by name, or take a user's own.

    What is collected is looked at when it is, and no code of its own runs afterwards.
    """
    if not isinstance(item, str):
        # Canonical forms tell operators by name, so a terminal must not have one of theirs.
        for names, kind in ((known, what), (OPERATORS, "operator")):
            if names.get(item.name, item) is not item:
                raise PrimitiveSetError(
                    f"primitive set {set_name!r}: {item.name!r} is the name of a built-in {kind}; "
                    "choose another name for your own"
                )
        if known.get(item.name) is item:
            return item
        return _taken(item, guard=not collected)
    if item not in known:
        raise PrimitiveSetError(
            f"primitive set {set_name!r}: unknown {what} {item!r}; known are {', '.join(known)}"
        )
    return known[item]


def _taken(item: _Thing, *, guard: bool) -> _Thing:
    """Check an operator or terminal of a user's own, and guard everybody else against it."""
    check_declared(item)
    if isinstance(item, Operator):
        check_operator(item)
    return guarded(item) if guard else item
