"""Which configurations a bench measures, and how each of them was chosen."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import BenchError

RANDOM, BAND, PLAN, NEIGHBOUR = "random", "band", "plan", "neighbour"
KINDS = (RANDOM, BAND, PLAN, NEIGHBOUR)
"""How a configuration may be chosen."""


@dataclass(frozen=True)
class Chosen:
    """How one configuration of a bench was chosen.

    Attributes:
        kind: `"random"`, every width equally likely; `"band"`, random within a narrow band of
            size; `"plan"`, the optimum of a proxy at a budget; `"neighbour"` of such a plan.
        proxies: those whose plan it is.
        share: its budget or the middle of its band, from 0 for all entries at the least width to
            1 for all at the widest; `None` where there is none.
        near: index of the plan whose neighbour it is, in the same bench and before it; `None` for
            no neighbour.
        swaps: how many pairs of entries a neighbour differs in, one up and one down.
    """

    kind: str = RANDOM
    proxies: tuple[str, ...] = ()
    share: float | None = None
    near: int | None = None
    swaps: int = 0

    def to_json(self) -> dict[str, Any]:
        """Give what is not as it mostly is, as JSON holds it."""
        usual = {one.name: one.default for one in fields(self) if one.default is not MISSING}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


@dataclass(frozen=True, eq=False)
class Selection:
    """Configurations to measure.

    Attributes:
        configurations: int8 (n, entries), all different.
        chosen: how each was chosen, (n,).
    """

    configurations: NDArray[np.int8]
    chosen: tuple[Chosen, ...]

    def sha256(self) -> str:
        """Return the sha256 of the configurations and of how they were chosen."""
        text = json.dumps([one.to_json() for one in self.chosen], sort_keys=True)
        return hashlib.sha256(self.configurations.tobytes() + text.encode()).hexdigest()

    def families(self) -> NDArray[np.intp]:
        """Say which configurations belong together, a plan and its neighbours, (n,).

        Members of a family have its first one's index.
        """
        return families_of(self.chosen)


def families_of(chosen: Sequence[Chosen]) -> NDArray[np.intp]:
    """Say which configurations belong together; see `Selection.families`."""
    families: list[int] = []
    for index, one in enumerate(chosen):
        families.append(index if one.near is None else families[one.near])
    return np.array(families, dtype=np.intp)


def check_chosen(chosen: Sequence[Chosen], count: int) -> None:
    """Check how configurations say that they were chosen.

    Args:
        chosen: what each says.
        count: how many configurations there are.

    Raises:
        BenchError: if it cannot be so.
    """
    if len(chosen) != count:
        raise BenchError(f"{len(chosen)} of {count} configurations say how they were chosen")
    for index, one in enumerate(chosen):
        if one.kind not in KINDS:
            raise BenchError(
                f"configuration {index} was chosen as {one.kind!r}, none of {', '.join(KINDS)}"
            )
        if (one.kind == NEIGHBOUR) != (one.near is not None):
            raise BenchError(f"configuration {index} must say whose neighbour it is, if it is one")
        if one.near is not None and not 0 <= one.near < index:
            raise BenchError(f"configuration {index} is near {one.near}, which is not before it")
