"""How each kind of operator acts on the values of each type.

Values are flat float32 (elements,) for `Weights` and `Activations`, (bits, elements) for
`WeightsPerBit`, a list of square matrices, one per layer, for `Matrices`, float64 (entries,) for
`LayerVector` and float64 (entries, bits) for `BitTable`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from gp_emq.statistics import Layout, Statistics
from primitives import (
    Activations,
    BitTable,
    Input,
    Kind,
    LayerVector,
    Matrices,
    Overload,
    Weights,
    WeightsPerBit,
)

Value = Any
"""The value of a subtree: a tensor, a list of matrices, an exponent or an operator."""


class Geometry:
    """Applies operators to the statistics of one network.

    Args:
        statistics: Where the layouts and the bit widths come from.
        device: Where the values lie.
    """

    def __init__(self, statistics: Statistics, device: torch.device) -> None:
        self._statistics = statistics
        self._device = device
        self._apply: dict[Kind, Callable[[Overload, Sequence[Value]], Value]] = {
            Kind.ELEMENTWISE: self._elementwise,
            Kind.NORMALISER: self._normalised,
            Kind.REDUCTION: self._reduced,
            Kind.MATRIX: self._matrices,
            Kind.MATRIX_REDUCTION: self._matrix_reduced,
            Kind.STRUCTURE: self._structured,
        }

    def apply(self, overload: Overload, arguments: Sequence[Value]) -> Value:
        """Apply one operator.

        Args:
            overload: The operator with the types of its arguments.
            arguments: Their values, shaped as the module says.

        Returns:
            The value, shaped as ``overload.result`` demands.

        Raises:
            ShapeMismatchError: Only inside EMQ's fixed structures.
        """
        return self._apply[overload.operator.kind](overload, arguments)

    def layout(self, kind: type) -> Layout:
        """Give where the layers lie in a flat buffer of a type."""
        name = "Activations" if kind is Activations else "Weights"
        return self._statistics.layout(name)

    def _elementwise(self, overload: Overload, arguments: Sequence[Value]) -> Value:
        function = overload.operator.function
        if overload.arguments[0] is Matrices:
            matrices, *rest = arguments
            return [function(matrix, *rest) for matrix in matrices]
        if overload.operator.name == "times_bits":
            return function(arguments[0][:, None], self._statistics.tensor("bits").to(self._device))
        if overload.arguments == (LayerVector, BitTable):
            return function(arguments[0][:, None], arguments[1])
        return function(*arguments)

    def _normalised(self, overload: Overload, arguments: Sequence[Value]) -> Value:
        function, (x,) = overload.operator.function, arguments
        kind = overload.arguments[0]
        if kind is LayerVector:
            return function(x)
        if kind is BitTable:
            return function(x.reshape(-1)).reshape(x.shape)
        if kind is Matrices:
            return [function(matrix) for matrix in x]
        layout = self.layout(kind)
        out = torch.empty_like(x)
        rows = zip(x, out, strict=True) if kind is WeightsPerBit else ((x, out),)
        for row, out_row in rows:
            for view, out_view in zip(layout.views(row), layout.views(out_row), strict=True):
                out_view.copy_(function(view))
        return out

    def _reduced(self, overload: Overload, arguments: Sequence[Value]) -> Tensor:
        function = overload.operator.function
        kind = overload.arguments[0]
        if kind is Matrices:
            return torch.stack([function(row) for row in self._matrix_rows(arguments[0])])
        bounds = self.layout(kind).entry_bounds
        return torch.stack(
            [
                function(*(x[..., start:stop].double() for x in arguments))
                for start, stop in pairwise(bounds)
            ]
        )

    def _matrix_rows(self, matrices: list[Tensor]) -> list[Tensor]:
        """Lay the matrices of each entry's layers end to end: float64 rows."""
        rows: list[list[Tensor]] = []
        for matrix, entry in zip(matrices, self.layout(Weights).entries, strict=True):
            if entry == len(rows):
                rows.append([])
            rows[entry].append(matrix.reshape(-1).double())
        return [torch.cat(row) for row in rows]

    def _matrices(self, overload: Overload, arguments: Sequence[Value]) -> list[Tensor]:
        layout = self.layout(overload.arguments[0])
        return [
            overload.operator.function(*(view.reshape(view.shape[0], -1) for view in views))
            for views in zip(*(layout.views(x) for x in arguments), strict=True)
        ]

    def _matrix_reduced(self, overload: Overload, arguments: Sequence[Value]) -> Tensor:
        values = torch.stack([overload.operator.function(m).double() for m in arguments[0]])
        return self._per_entry(values, torch.ones_like(values))

    def _structured(self, overload: Overload, arguments: Sequence[Value]) -> Tensor:
        """Apply a fixed structure layer by layer; means over tied layers weight by elements."""
        places = [place for place, kind in enumerate(overload.arguments) if kind is Input]
        values, weights = [], []
        for inputs in zip(*(arguments[place] for place in places), strict=True):
            call = list(arguments)
            for place, tensor in zip(places, inputs, strict=True):
                call[place] = tensor
            values.append(overload.operator.function(*call).double())
            weights.append(float(inputs[0].numel()))
        share = torch.tensor(weights, dtype=torch.float64, device=self._device)
        return self._per_entry(torch.stack(values), share) / self._per_entry(
            torch.ones_like(share), share
        )

    def _per_entry(self, values: Tensor, weights: Tensor) -> Tensor:
        """Add up over the layers of each entry: float64 (layers,) to (entries,)."""
        layout = self.layout(Weights)
        entries = torch.tensor(layout.entries, device=self._device)
        total = torch.zeros(layout.entry_count, dtype=torch.float64, device=self._device)
        return total.index_add_(0, entries, values * weights)
