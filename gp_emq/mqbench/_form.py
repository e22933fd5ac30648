"""How the metric of a configuration is kept: packed bits, a number per sample, or one number."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.networks import TOP_1, Workload

Found = NDArray[Any]
"""What is kept of a configuration, or of several, one row for each; see `Form.dtype`."""


@dataclass(frozen=True)
class Form:
    """The form that a metric is kept in.

    Attributes:
        samples: how many samples are measured.
        dtype: uint8 for bits of right and wrong, packed as `numpy.packbits` does; float32 for one
            number per sample; float64 for one number of all.
    """

    samples: int
    dtype: type[np.uint8] | type[np.float32] | type[np.float64] = np.uint8

    @property
    def length(self) -> int:
        """Numbers that are kept of a configuration."""
        return {np.uint8: -(-self.samples // 8), np.float32: self.samples, np.float64: 1}[
            self.dtype
        ]

    def kept(self, values: NDArray[Any]) -> Found:
        """Bring the metric, per sample (n,) or of all (), to the form, (length,)."""
        if self.dtype is np.uint8:
            return np.packbits(values)
        return values.astype(self.dtype).reshape(self.length)

    def means(self, found: Found) -> NDArray[np.float64]:
        """Return the metric of configurations from what is kept of them, (n, length) to (n,)."""
        is_packed = self.dtype is np.uint8
        values = np.unpackbits(found, axis=1, count=self.samples) if is_packed else found
        means: NDArray[np.float64] = values.mean(axis=1, dtype=np.float64)
        return means

    def fields(self, found: Found) -> dict[str, Any]:
        """Return the fields of a bench that hold what is kept of its configurations."""
        return {
            "accuracies": self.means(found),
            "correct": found if self.dtype is np.uint8 else None,
            "values": found if self.dtype is np.float32 else None,
        }


def form_of(workload: Workload) -> Form:
    """Return the form that the metric of a workload is kept in."""
    if workload.metric is TOP_1:
        return Form(len(workload))
    return Form(len(workload), np.float32 if workload.metric.per_sample else np.float64)
