"""Statistics as they would be had the layers' weights been rescaled, the function unchanged."""

from pathlib import Path

import torch
from torch import Tensor

from gp_emq.statistics._cache import Stored
from gp_emq.statistics._catalogue import INGREDIENTS, record_of
from gp_emq.statistics._grid import WeightGrids
from gp_emq.statistics._header import Header
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._record import Kind
from gp_emq.statistics._sources import GRIDS, Source


class RescaledSource:
    """Multiplies each entry of another source's statistics by what its exponent says.

    What has no exponent stays as it is.

    Args:
        parent: Where the statistics come from.
        header: Identity of the parent's statistics.
        factors: float64 (entries,), what each entry's weights are multiplied by: powers of two,
            which cost no digits.
    """

    def __init__(self, parent: Source, header: Header, factors: Tensor) -> None:
        self.folder: Path | None = None
        self._parent = parent
        self._header = header
        self._factors = factors

    def names(self) -> tuple[str, ...]:
        """Names of the parent's statistics."""
        return self._parent.names()

    def weight_layout(self) -> Layout:
        """Layout of the statistics shaped as the weights."""
        return self._parent.weight_layout()

    def stored(self, name: str) -> Stored:
        """Rescale one statistic."""
        whole = self._parent.stored(name)
        values = torch.from_numpy(whole.values)
        if name == GRIDS:
            return Stored(self._grids(values).numpy(), whole.seconds)
        exponent = None if name in INGREDIENTS else record_of(name).exponent
        if not exponent:
            return whole
        factors, kind = self._factors**exponent, record_of(name).kind
        if kind == Kind.BIT_TABLE:
            factors = factors[:, None]
        elif kind != Kind.LAYER_VECTOR:
            layout = (
                self.weight_layout()
                if whole.shapes is None
                else self._header.activation_layout(whole.shapes)
            )
            factors = _by_element(factors, layout).to(values.dtype)
        return Stored((values * factors).numpy(), whole.seconds, whole.shapes)

    def _grids(self, values: Tensor) -> Tensor:
        """Rescale the steps of the quantization grids; zero points and ends are integers."""
        layout = self.weight_layout()
        factors = self._factors[list(layout.entries)]
        factors = factors.repeat_interleave(torch.tensor(WeightGrids.unpack(layout, values).rows))
        rescaled = values.clone()
        rescaled[..., 0] *= factors.to(values.dtype)
        return rescaled


def _by_element(factors: Tensor, layout: Layout) -> Tensor:
    """Give each element the factor of its entry, (N,)."""
    bounds = torch.tensor(layout.entry_bounds)
    return factors.repeat_interleave(bounds[1:] - bounds[:-1])
