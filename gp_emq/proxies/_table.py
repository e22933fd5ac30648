"""Sensitivity tables: arrays of scores that know which layers and widths they are of."""

import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_emq.errors import AllocationError
from gp_emq.networks import Layer
from gp_emq.quantization import MAX_BITS, MIN_BITS

EDITED = "edited"
"""What follows the name of a proxy whose table was changed since the proxy gave it."""


@dataclass(frozen=True)
class _Labels:
    """What a table is of, and the hash of the values that its proxy gave."""

    bits: tuple[int, ...]
    layers: tuple[Layer, ...]
    proxy: str
    formula: str
    expression: str
    statistics: str
    sha256: str
    kept_in_float: tuple[tuple[str, str], ...] = ()


class SensitivityTable(np.ndarray[tuple[int, int], np.dtype[np.float64]]):
    """Scores, float64 (entries, bits), oriented, with what their rows and columns are.

    It is a numpy array and works as one everywhere. What is made of it, such as `table[1:]`,
    `-table`, `table + other` or `table.copy()`, is an array that knows nothing of layers and
    widths, which might not fit any more; the modules `copy` and `pickle` keep them. Values may be
    changed in place: then the table no longer counts as its proxy's (`is_edited`).

    Args:
        values: Scores, (entries, bits), where a higher sum is better.
        bits: The widths of the columns, rising.
        layers: In forward order; the table has a row for each of their entries.
        proxy: Name of the proxy that gave the values.
        formula: The proxy as readable mathematics.
        expression: The proxy as a typed expression, if it is one.
        statistics: Fingerprint of the statistics that the values were computed from.
        kept_in_float: Weights of the network that are in none of the layers, with the reason of
            each.

    Raises:
        AllocationError: Values that are no numbers, or do not fit the layers and widths.

    Examples:
        >>> import gp_emq
        >>> from torch import nn, zeros
        >>> layers = gp_emq.networks.find_layers(nn.Sequential(nn.Linear(8, 2)), zeros(1, 8))
        >>> table = gp_emq.SensitivityTable([[-4.0, -1.0]], bits=(2, 4), layers=layers)
        >>> table.bits, table[0].tolist()
        ((2, 4), [-4.0, -1.0])
        >>> gp_emq.allocate(table, average_bits=4).widths
        {'0': 4}
    """

    _labels: _Labels | None

    def __new__(
        cls,
        values: ArrayLike,
        *,
        bits: Sequence[int],
        layers: Sequence[Layer],
        proxy: str = "",
        formula: str = "",
        expression: str = "",
        statistics: str = "",
        kept_in_float: Mapping[str, str] | None = None,
    ) -> Self:
        """See the class."""
        own = table_values(values)
        widths, known = check_bits(bits), tuple(layers)
        check_shape(own, known, widths)
        table = own.view(cls)
        mark = _sha256(own)
        kept = tuple((kept_in_float or {}).items())
        table._labels = _Labels(widths, known, proxy, formula, expression, statistics, mark, kept)
        return table

    def __array_finalize__(self, source: object) -> None:
        """Know nothing, whatever the array is made of."""
        self._labels = None

    @property
    def is_labelled(self) -> bool:
        """Whether the table knows its layers and widths; what is made of one does not."""
        return self._labels is not None

    @property
    def bits(self) -> tuple[int, ...]:
        """The widths of the columns, rising."""
        return self._known.bits

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in forward order; their entries are the rows."""
        return self._known.layers

    @property
    def proxy(self) -> str:
        """Name of the proxy that gave the values, empty where none is known."""
        return self._known.proxy

    @property
    def formula(self) -> str:
        """The proxy as readable mathematics."""
        return self._known.formula

    @property
    def expression(self) -> str:
        """The proxy as a typed expression; empty where it is none."""
        return self._known.expression

    @property
    def statistics(self) -> str:
        """Fingerprint of the statistics that the values were computed from."""
        return self._known.statistics

    @property
    def kept_in_float(self) -> Mapping[str, str]:
        """Weights of the network that are in none of the layers, with the reason of each."""
        return dict(self._known.kept_in_float)

    @property
    def is_edited(self) -> bool:
        """Whether values were changed since the proxy gave them."""
        return _sha256(np.asarray(self)) != self._known.sha256

    @property
    def provenance(self) -> Mapping[str, str]:
        """What a plan says of the table: proxy, formula, expression, statistics, if known."""
        known = self._known
        if self.is_edited:
            return {"proxy": f"{known.proxy or 'a table'} ({EDITED})"}
        found = {
            "proxy": known.proxy,
            "formula": known.formula,
            "expression": known.expression,
            "statistics": known.statistics,
        }
        return {name: text for name, text in found.items() if text}

    @property
    def _known(self) -> _Labels:
        if self._labels is None:
            raise AttributeError("an array that is made of a sensitivity table knows no labels")
        return self._labels

    def __getitem__(self, key: Any) -> Any:
        """Give numbers or a plain array."""
        return self.view(np.ndarray)[key]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Compute with plain arrays; only what is written in place stays what it was."""
        out = options.get("out", ())
        if out:
            options["out"] = tuple(map(_plain, out))
        if "where" in options:
            options["where"] = _plain(options["where"])
        result = getattr(ufunc, method)(*map(_plain, inputs), **options)
        if out:
            return out[0] if len(out) == 1 else out
        return result

    def __array_function__(
        self, function: Callable[..., Any], types: Any, arguments: Any, options: Any
    ) -> Any:
        """Give what numpy's functions make of tables as plain arrays."""
        result = super().__array_function__(function, types, arguments, options)
        return result if result is options.get("out") else _plain(result)

    def copy(self, order: Any = "C") -> NDArray[np.float64]:  # type: ignore[override]
        """Copy the values: a plain array, since whoever copies may be about to sort them."""
        return np.array(self, order=order)

    def __copy__(self) -> "SensitivityTable":
        return _restored(np.array(self), self._labels)

    def __deepcopy__(self, memo: Any) -> "SensitivityTable":
        return _restored(np.array(self), self._labels)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (np.array(self), self._labels)


def table_values(values: ArrayLike) -> NDArray[np.float64]:
    """Read values as numbers; what is masked becomes nan.

    Args:
        values: Anything that numpy makes an array of real numbers of.

    Returns:
        float64, of the shape that the values have; a copy.

    Raises:
        AllocationError: They are none, or their rows differ in length.
    """
    try:
        found = np.asanyarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise AllocationError(f"a table must be an array of numbers: {reason}") from error
    if found.dtype.kind not in "fiu":
        raise AllocationError(f"a table must hold real numbers, not values of type {found.dtype}")
    numbers = np.array(found, dtype=np.float64)
    numbers[np.ma.getmaskarray(found)] = np.nan
    return numbers


def check_bits(bits: Sequence[int]) -> tuple[int, ...]:
    """Return the widths of a table's columns as plain integers.

    Raises:
        AllocationError: They are none, out of range, or do not rise.
    """
    try:
        widths = tuple(operator.index(width) for width in bits)
    except TypeError:
        raise AllocationError(f"bits must be whole numbers, like (2, 3, 4), not {bits!r}") from None
    for width in widths:
        if not MIN_BITS <= width <= MAX_BITS:
            raise AllocationError(f"bit choice must be {MIN_BITS} to {MAX_BITS} bits, not {width}")
    if not widths or list(widths) != sorted(set(widths)):
        raise AllocationError(f"bits must rise, like 2,3,4, not {','.join(map(str, widths))}")
    return widths


def check_shape(values: NDArray[np.float64], layers: Sequence[Layer], bits: Sequence[int]) -> None:
    """Check that values have a row for each entry and a column for each width.

    Raises:
        AllocationError: They have not, or there are no layers.
    """
    if not layers:
        raise AllocationError("there are no layers: nothing can be chosen")
    entries = 1 + max(layer.entry for layer in layers)
    if values.shape != (entries, len(bits)):
        raise AllocationError(
            f"the table has shape {values.shape}, but there are {entries} entries and "
            f"{len(bits)} bit choices ({', '.join(map(str, bits))})"
        )


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, SensitivityTable) else value


def _restored(values: NDArray[np.float64], labels: _Labels | None) -> SensitivityTable:
    table: SensitivityTable = values.view(SensitivityTable)
    table._labels = labels
    return table


def _sha256(values: NDArray[np.float64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
