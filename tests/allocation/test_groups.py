"""Layers that shall share a width are one decision, whatever the proxy says of each."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_emq import SensitivityTable
from gp_emq.allocate import main
from gp_emq.allocation import allocate, grouped_layers, load_plan
from gp_emq.errors import AllocationError, InfeasibleError
from gp_emq.networks import Layer

BITS = (2, 4, 8)


def layers(sizes=(100, 300, 200, 50), entries=(0, 1, 2, 3)) -> tuple[Layer, ...]:
    return tuple(
        Layer(f"block.{k}", "Linear", (size, 1), size, 0, 10 * size, k, entry)
        for k, (size, entry) in enumerate(zip(sizes, entries, strict=True))
    )


ROWS = [[-9.0, -3.0, -1.0], [-4.0, -2.0, -1.5], [-7.0, -5.0, -0.5], [-1.0, -0.5, -0.2]]


@st.composite
def problems(draw: st.DrawFn):
    count = draw(st.integers(2, 5))
    found = layers(
        tuple(draw(st.integers(1, 500)) for _ in range(count)), entries=tuple(range(count))
    )
    steps = st.integers(1, 100)
    rows = [
        list(itertools.accumulate([-1000, draw(steps), draw(steps)], initial=None))
        for _ in range(count)
    ]
    # Each layer in the group that it draws; those alone in theirs are in none.
    drawn = [draw(st.integers(0, 2)) for _ in range(count)]
    groups = [[k for k in range(count) if drawn[k] == group] for group in range(3)]
    return found, rows, [group for group in groups if len(group) > 1], draw(st.floats(2, 8))


@given(problems())
def test_the_plan_is_the_best_of_all_that_keep_the_groups(problem) -> None:
    found, rows, groups, average = problem
    parameters = [layer.parameters for layer in found]

    def keeps(widths) -> bool:
        cost = sum(w * p for w, p in zip(widths, parameters, strict=True)) / sum(parameters)
        one = all(len({widths[k] for k in group}) == 1 for group in groups)
        return one and cost <= average * (1 + 1e-9)

    def score(widths) -> float:
        return math.fsum(rows[k][BITS.index(width)] for k, width in enumerate(widths))

    best = max(map(score, filter(keeps, itertools.product(BITS, repeat=len(found)))))
    plan = allocate(
        rows,
        found,
        bits=BITS,
        average_bits=average,
        groups=[[found[k].name for k in group] for group in groups],
    )
    widths = tuple(planned.bits for planned in plan.layers)
    assert keeps(widths)
    assert score(widths) == pytest.approx(best)
    assert plan.score == pytest.approx(best)
    assert [planned.name for planned in plan.layers] == [layer.name for layer in found]


def test_a_group_scores_less_than_its_layers_would_alone_and_is_refused_as_a_whole() -> None:
    free = allocate(ROWS, layers(), bits=BITS, average_bits=4)
    held = allocate(ROWS, layers(), bits=BITS, average_bits=4, groups=[["block.0", "block.2"]])
    assert held.widths["block.0"] == held.widths["block.2"]
    assert free.widths["block.0"] != free.widths["block.2"]
    assert held.score < free.score
    with pytest.raises(InfeasibleError, match="least possible"):
        allocate(
            ROWS, layers(), bits=BITS, average_bits=4, groups=[["*"]], choices={"block.0": (8,)}
        )


def test_patterns_and_tied_layers_belong_to_groups() -> None:
    tied = layers(entries=(0, 1, 2, 0))
    assert [layer.entry for layer in grouped_layers(tied, [["block.[12]"]])] == [0, 1, 1, 0]
    assert [layer.entry for layer in grouped_layers(tied, [["block.3", "block.2"]])] == [0, 1, 0, 0]
    assert [layer.entry for layer in grouped_layers(tied, [["block.0", "block.3"]])] == [0, 1, 2, 0]
    assert grouped_layers(tied, []) == tied


def test_a_fixed_width_of_one_is_that_of_the_group() -> None:
    held = allocate(
        ROWS, layers(), bits=BITS, average_bits=8, groups=[["*.1", "block.0"]], fix={"block.1": 3}
    )
    assert (held.widths["block.0"], held.widths["block.1"]) == (3, 3)
    with pytest.raises(AllocationError, match="contradict each other"):
        allocate(
            ROWS, layers(), bits=BITS, average_bits=8, groups=[["block.0", "block.1"]],
            fix={"block.0": 2, "block.1": 3},
        )  # fmt: skip


def test_a_table_keeps_what_it_knows_of_itself() -> None:
    table = SensitivityTable(ROWS, bits=BITS, layers=layers(), proxy="mine", statistics="abc")
    plan = allocate(table, average_bits=4, groups=[["block.1", "block.2"]])
    assert plan.provenance == {"proxy": "mine", "statistics": "abc"}
    table[0, 0] = -8.0
    plan = allocate(table, average_bits=4, groups=[["block.1", "block.2"]])
    assert plan.provenance == {"proxy": "mine (edited)"}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["block.0", "attention"]], r"'attention' matches no layer; there are block.0, block.1"),
        ([["block.0"]], r"the group 'block.0' needs at least two layers: it has 'block.0'"),
        ([[]], "needs at least two layers: it has none"),
        (
            [["block.0", "block.1"], ["block.[12]"]],
            r"'block.1' is in the groups 'block.0,block.1' and 'block.\[12\]': give them as one",
        ),
        (["block.0", "block.1"], "groups must be lists of patterns"),
    ],
)
def test_groups_that_are_none_are_refused_in_one_line(groups, message: str) -> None:
    with pytest.raises(AllocationError, match=message):
        allocate(ROWS, layers(), bits=BITS, average_bits=4, groups=groups)


def test_the_command_takes_groups_and_its_plan_lists_each_layer(tmp_path) -> None:
    out = tmp_path / "plan.json"
    line = ["--proxy", "relative_error", "--images", "16", "--average-bits", "3", "--no-plot"]
    baselines = ["--baselines", "uniform,random,sum_of_bits", "--out", str(out)]
    assert main([*line, *baselines, "--group", "conv1, layer3.1.*", "--group", "layer1.*"]) == 0
    plan = load_plan(out)
    assert len(plan.layers) == 14
    for names in (
        ("conv1", "layer3.1.conv1", "layer3.1.conv2"),
        ("layer1.0.conv1", "layer1.1.conv2"),
    ):
        places = [place for place, planned in enumerate(plan.layers) if planned.name in names]
        for widths in (tuple(p.bits for p in plan.layers), *(b.bits for b in plan.baselines)):
            assert len({widths[place] for place in places}) == 1
    assert len(plan.configuration) == 14 - 2 - 3
    with pytest.raises(AllocationError, match=r"--group 'conv1,' must be like q,k,v"):
        main([*line, "--group", "conv1,"])
