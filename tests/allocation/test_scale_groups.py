"""Plans for weights whose scales are of groups: what they count, and what their files say."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.allocate import main
from gp_emq.allocation import (
    CostSettings,
    Plan,
    Problem,
    ScoredNetwork,
    allocate,
    load_plan,
    load_sweep,
    load_table,
    picked_budget,
    plan_csv,
    save_plan,
    save_sweep,
    save_table,
    search_space,
    sweep,
)
from gp_emq.allocation._table_file import _sha256
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.networks import PER_CHANNEL, PER_TENSOR, Granularity, Layer
from gp_emq.proxies import SensitivityTable

BITS = (2, 4, 8)
# Rows of 100 weights, and rows of 2 * 3 * 3, with biases.
LAYERS = (
    Layer("linear", "Linear", (3, 100), 303, 0, 300, 0, 0),
    Layer("convolution", "Conv2d", (5, 2, 3, 3), 95, 0, 90, 1, 1),
)
TABLE = [[-9.0, -3.0, -1.0], [-4.0, -2.0, -1.5]]
GROUP32 = CostSettings(granularity=Granularity(per_channel=True, group=32))


def problem():
    return Problem.of(TABLE, search_space(LAYERS, BITS), ())


@pytest.mark.parametrize(
    ("granularity", "scales"),
    [
        (PER_TENSOR, 1 + 1),
        (PER_CHANNEL, 3 + 5),
        # Rows of 100 have four groups of 32, the last of 4; rows of 18 have one.
        (Granularity(per_channel=True, group=32), 3 * 4 + 5),
        # 13 groups, the last of 4, and 3 groups, the last of 2: inputs and kernel are one row.
        (Granularity(per_channel=True, group=8), 3 * 13 + 5 * 3),
        (Granularity(per_channel=True, group=9), 3 * 12 + 5 * 2),
        (Granularity(per_channel=True, group=200), 3 + 5),
    ],
)
@pytest.mark.parametrize("beside", [0, 1000])
def test_sizes_count_the_scales_of_groups(granularity, scales, beside) -> None:
    counted = CostSettings(granularity=granularity, beside_bytes=beside)
    plan = allocate(
        TABLE, LAYERS, bits=BITS, size_bytes=10**6, fix={"linear": 4, "convolution": 3},
        settings=counted,
    )  # fmt: skip
    # 300 weights at 4 bits and 90 at 3 bits, float32 scales and biases.
    numbers = 150 + math.ceil(90 * 3 / 8) + 4 * scales + 4 * (3 + 5)
    assert plan.targets[0].achieved == numbers + beside
    assert plan.measures.stored_mib == numbers / 2**20
    assert plan.scale_group == granularity.group


@settings(max_examples=25, deadline=None)
@given(
    st.integers(2, 130), st.lists(st.sampled_from(BITS), min_size=2, max_size=2),
    st.integers(0, 400),
)  # fmt: skip
def test_a_budget_in_bytes_is_kept_exactly(group: int, widths: list[int], spare: int) -> None:
    """A limit of what some widths take, and less than would widen the narrowest, allows them."""

    def numbers(configuration) -> int:
        linear, convolution = configuration
        scales = 3 * math.ceil(100 / group) + 5 * math.ceil(18 / group)
        return math.ceil(300 * linear / 8) + math.ceil(90 * convolution / 8) + 4 * (scales + 8)

    counted = CostSettings(granularity=Granularity(per_channel=True, group=group))
    limit = numbers(widths) + spare
    plan = allocate(TABLE, LAYERS, bits=BITS, size_bytes=limit, settings=counted)
    fitting = {
        (one, two): TABLE[0][BITS.index(one)] + TABLE[1][BITS.index(two)]
        for one in BITS
        for two in BITS
        if numbers((one, two)) <= limit
    }
    assert fitting[plan.configuration] == max(fitting.values())
    assert plan.targets[0].achieved == numbers(plan.configuration)


def plan_of(counted: CostSettings = GROUP32, **options) -> Plan:
    return allocate(TABLE, LAYERS, bits=BITS, average_bits=8, settings=counted, **options)


def scored(granularity: Granularity) -> ScoredNetwork:
    return ScoredNetwork(SensitivityTable(TABLE, bits=BITS, layers=LAYERS), granularity=granularity)


def test_files_say_the_groups_and_nothing_where_there_are_none(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("plan.json", "sweep.json", "table.json")]
    for counted, group in ((GROUP32, 32), (CostSettings(), None)):
        plan, front = plan_of(counted), sweep(problem(), counted, points=3)
        save_plan(plan, files[0])
        save_sweep(front, files[1])
        save_table(scored(counted.granularity), files[2])
        assert load_plan(files[0]) == plan
        assert load_plan(files[0]).granularity == counted.granularity
        assert load_sweep(files[1]) == front
        assert load_table(files[2]).granularity == counted.granularity
        said = [json.loads(file.read_text()).get("scale_group", "nothing") for file in files]
        assert said == [group or "nothing"] * 3


@pytest.mark.parametrize("group", [1, 0, -64, 2.5, True, "64"])
def test_files_with_groups_that_cannot_be_are_refused(tmp_path: Path, group) -> None:
    files = [tmp_path / name for name in ("plan.json", "sweep.json", "table.json")]
    save_plan(plan_of(), files[0])
    save_sweep(sweep(problem(), GROUP32, points=3), files[1])
    save_table(scored(GROUP32.granularity), files[2])
    for file, load in zip(files, (load_plan, load_sweep, load_table), strict=True):
        document = json.loads(file.read_text()) | {"scale_group": group}
        if document.pop("sha256", None):
            document["sha256"] = _sha256(document)
        file.write_text(json.dumps(document))
        with pytest.raises(AllocationError, match=rf"{file.name}.*scale_group"):
            load(file)


def test_a_table_of_groups_within_no_channel_is_refused(tmp_path: Path) -> None:
    save_table(scored(GROUP32.granularity), tmp_path / "table.json")
    document = json.loads((tmp_path / "table.json").read_text()) | {"per_channel": False}
    del document["sha256"]
    text = json.dumps(document | {"sha256": _sha256(document)})
    (tmp_path / "table.json").write_text(text)
    with pytest.raises(AllocationError, match="groups lie within output channels"):
        load_table(tmp_path / "table.json")


def test_a_csv_says_the_groups_of_what_is_quantized() -> None:
    plan = plan_of(exclude=["convolution"])
    rows = list(csv.DictReader(plan_csv(plan).splitlines()))
    assert [row["scale_group"] for row in rows] == ["32", ""]
    without = plan_csv(replace(plan, scale_group=None))
    assert [line.rpartition(",")[0] for line in plan_csv(plan).splitlines()] == without.splitlines()


def test_a_point_is_picked_with_the_groups_of_its_sweep() -> None:
    front = sweep(problem(), GROUP32, points=3)
    assert picked_budget(front, 2, problem(), GROUP32).limit == front.points[1].cost
    for other, told in (
        (CostSettings(), "no groups"),
        (CostSettings(granularity=Granularity(per_channel=True, group=16)), "groups of 16"),
    ):
        with pytest.raises(
            AllocationError, match=f"groups of 32 of weights that share a scale, .* are {told}"
        ):
            picked_budget(front, 2, problem(), other)


MADE = ["--proxy", "relative_error", "--images", "16", "--baselines", "none", "--no-plot"]


def test_a_table_of_groups_answers_as_the_network_does(tmp_path: Path, capsys) -> None:
    table, budget = tmp_path / "table.json", ["--size-bytes", "30000"]
    main([*MADE, "--scale-group", "16", *budget, "--out", str(tmp_path / "one.json"),
          "--save-table", str(table)])  # fmt: skip
    said = capsys.readouterr().out
    assert "note: every 16 weights of an output channel share a scale" in said
    main(["--table", str(table), *budget, "--no-plot", "--out", str(tmp_path / "two.json")])
    assert capsys.readouterr().out == said
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert load_plan(tmp_path / "one.json").scale_group == 16
    # Scores are of the weights as groups round them; the first layer's rows have 9 weights.
    main([*MADE, "--save-table", str(tmp_path / "channels.json")])
    grouped, channels = (load_table(path).table for path in (table, tmp_path / "channels.json"))
    assert (grouped[0] == channels[0]).all()
    assert (grouped[1:] > channels[1:]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scale-group", "1"], "--scale-group: must be a whole number of at least 2, got '1'"),
        (["--scale-group", "x"], "--scale-group: must be a whole number of at least 2, got 'x'"),
        (["--scale-group", "8", "--per-tensor"], "not allowed with argument"),
        (["--scale-group", "8", "--table", "t.json", "--proxy", "fit"], "is for the network"),
    ],
)
def test_wrong_groups_are_one_clear_error(arguments: list[str], message: str) -> None:
    with pytest.raises(GpEmqError, match=message):
        main([*MADE, "--average-bits", "3", *arguments])
