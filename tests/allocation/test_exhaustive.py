"""Plans against all configurations of small networks, with costs counted by hand."""

import itertools
import math
import re
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.allocation import CostTable, allocate
from gp_emq.errors import AllocationError
from gp_emq.networks import Layer

BITS = (2, 3, 4, 8)


@dataclass
class Case:
    """A small network, a table, what may be chosen, and the budgets; costs by (entry, width)."""

    layers: tuple[Layer, ...]
    values: list[list[float]]
    allowed: list[tuple[int, ...]]
    scale: float
    costs: dict[str, dict[tuple[int, int], float]]
    limits: dict[str, float]

    def configurations(self):
        return itertools.product(*self.allowed)

    def cost(self, name: str, configuration) -> float:
        return math.fsum(self.costs[name][e, b] for e, b in enumerate(configuration))

    def score(self, configuration) -> float:
        return math.fsum(self.values[e][BITS.index(b)] for e, b in enumerate(configuration))

    def keeps(self, configuration, leaving_out: str = "") -> bool:
        return all(
            self.cost(name, configuration) <= limit * (1 + 1e-9)
            for name, limit in self.limits.items()
            if name != leaving_out
        )

    def rows(self) -> list[list[float]]:
        """Scores of the entries that have a choice."""
        kept = [
            [row[BITS.index(b)] for b in allowed]
            for row, allowed in zip(self.values, self.allowed, strict=True)
        ]
        return [row for row in kept if len(row) > 1]

    def plan(self):
        limits = dict(self.limits)
        own = limits.pop("milliseconds", None)
        milliseconds = {
            (layer.name, width): self.costs["milliseconds"][layer.entry, width]
            for layer in self.layers
            for width in BITS
        }
        given = {name.replace(" ", "_"): limit for name, limit in limits.items()}
        return allocate(
            self.values,
            self.layers,
            bits=BITS,
            choices={layer.name: self.allowed[layer.entry] for layer in self.layers},
            costs=[] if own is None else [CostTable(milliseconds, own, "milliseconds")],
            **given,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    entries = draw(st.integers(1, 4))
    layers = tuple(
        Layer(
            name=f"block.{entry}[{entry}]",
            kind="Linear",
            weight_shape=(draw(st.integers(1, 1000)), 7),
            parameters=draw(st.integers(1, 1_000_000)),
            batch_norm_channels=0,
            macs=draw(st.integers(1, 10**9)),
            depth=entry,
            entry=entry,
        )
        for entry in range(entries)
    )
    scale = draw(st.sampled_from([1e-9, 1e-3, 1.0, 1e9]))
    # Few values, so that scores tie; none that is rounding beside its row's offset.
    score = draw(st.sampled_from([st.integers(-2, 2), st.integers(-1000, 1000)]))
    values = [
        [(draw(st.sampled_from([0.0, 1.0, -1000.0])) + draw(score)) * scale] * len(BITS)
        if draw(st.integers(0, 5)) == 0
        else _row(draw, score, scale)
        for _ in range(entries)
    ]
    widths = st.sets(st.sampled_from(BITS), min_size=1).map(lambda some: tuple(sorted(some)))
    allowed = [draw(widths) for _ in range(entries)]
    of_widths = {(layer.entry, b): (layer, b) for layer in layers for b in BITS}
    parameters = sum(layer.parameters for layer in layers)
    costs = {
        "average bits": {k: x.parameters * b / parameters for k, (x, b) in of_widths.items()},
        "size mib": {k: x.parameters * b / 8 / 2**20 for k, (x, b) in of_widths.items()},
        "bops g": {k: x.macs * b * 8 / 1e9 for k, (x, b) in of_widths.items()},
        "milliseconds": {k: float(draw(st.integers(0, 9))) for k in of_widths},
    }
    case = Case(layers, values, allowed, scale, costs, {})
    for name in draw(st.sets(st.sampled_from(sorted(costs)), min_size=1, max_size=3)):
        totals = [case.cost(name, configuration) for configuration in case.configurations()]
        share = draw(st.floats(-0.3, 1.1))
        limit = min(totals) + share * (max(totals) - min(totals)) + 1e-6
        case.limits[name] = max(limit, 1e-6)
    return case


def _row(draw, score, scale: float) -> list[float]:
    offset = draw(st.sampled_from([0.0, 1.0, -1000.0]))
    return [(offset + draw(score)) * scale for _ in BITS]


@settings(max_examples=150)
@given(case=cases())
def test_a_plan_is_the_best_of_all_configurations(case: Case) -> None:
    rows = case.rows()
    fitting = [c for c in case.configurations() if case.keeps(c)]
    if rows and all(len(set(row)) == 1 for row in rows):
        with pytest.raises(AllocationError, match="cannot rank"):
            case.plan()
        return
    by_chance = math.prod(1 / math.factorial(len(row)) for row in rows)
    if by_chance < 1e-3 and all(a > b for row in rows for a, b in itertools.pairwise(row)):
        with pytest.raises(AllocationError, match="upside down"):
            case.plan()
        return
    if not fitting:
        _check_refusal(case)
        return
    plan = case.plan()
    best = max(map(case.score, fitting))
    spread = sum(max(row) - min(row) for row in rows)
    assert plan.configuration in fitting
    assert plan.gap == 0
    assert case.score(plan.configuration) >= best - 1e-9 * spread
    assert plan.score == pytest.approx(case.score(plan.configuration), rel=1e-12, abs=1e-300)
    for target in plan.targets:
        name = {"size": "size mib", "BOPs": "bops g"}.get(target.name, target.name)
        assert target.achieved == pytest.approx(case.cost(name, plan.configuration), rel=1e-9)
    kept = [entry for entry, allowed in enumerate(case.allowed) if len(allowed) > 1]
    flat = [e for e, row in zip(kept, rows, strict=True) if len(set(row)) == 1]
    assert plan.constant == tuple(case.layers[entry].name for entry in flat)
    if len(case.limits) == 1:
        (costs,) = (case.costs[name] for name in case.limits)
        for entry in flat:
            cheapest = min(costs[entry, width] for width in case.allowed[entry])
            assert costs[entry, plan.configuration[entry]] == cheapest


def _check_refusal(case: Case) -> None:
    """The refusal names the least values that can be met, rounded up to five digits."""
    with pytest.raises(AllocationError, match=r"cannot be met|not together") as caught:
        case.plan()
    message = str(caught.value)
    short = {"size mib": "size", "bops g": "BOPs"}
    for name, limit in case.limits.items():
        shown = short.get(name, name)
        least = min(case.cost(name, c) for c in case.configurations())
        if "not together" in message:
            assert least <= limit * (1 + 1e-9)
            others = [case.cost(name, c) for c in case.configurations() if case.keeps(c, name)]
            found = re.search(rf"{shown} needs at least ([\d.]+)", message)
            assert (found is None) == (not others)
            nearest = min(others, default=0.0)
        else:
            found = re.search(
                rf"for {shown} cannot be met: the least possible is ([\d.]+)", message
            )
            assert (found is None) == (least <= limit * (1 + 1e-9))
            nearest = least
        if found is not None:
            value = float(found[1])
            assert nearest * (1 - 1e-9) <= value <= nearest * (1 + 1.1e-4)
            if "not together" in message:
                assert replace(case, limits=case.limits | {name: max(value, 1e-9)}).plan()


def test_a_plan_does_not_depend_on_scale_or_row_offsets() -> None:
    layers = tuple(
        Layer(f"layer{e}", "Linear", (10, 10), 100 * (e + 1), 0, 1000, e, e) for e in range(6)
    )
    values = [[-((7 * e * e + 3) % 11 + 1) / 4.0**b for b in range(4)] for e in range(6)]
    plain = allocate(values, layers, bits=BITS, average_bits=3.5)
    for scale in (1e-9, 1e-3, 1e3, 1e9):
        moved = [[scale * (v + (-1) ** e * 1e3) for v in row] for e, row in enumerate(values)]
        assert allocate(moved, layers, bits=BITS, average_bits=3.5).widths == plain.widths
