"""What a layer takes and gives at once, against a limit."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from gp_emq import Workload
from gp_emq.allocate import main
from gp_emq.allocation import (
    CostSettings,
    Problem,
    activation_peak,
    activation_target,
    load_plan,
    make_budgets,
    replanned,
    search_space,
    solve,
)
from gp_emq.errors import AllocationError, InfeasibleError
from gp_emq.networks import activation_elements, find_layers

ELEMENTS = {"first": (100, 801), "second": (800, 40)}


class Twice(nn.Module):
    """A convolution that is called with two sizes, and a linear layer of named input."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(1, 1, 3, padding=1)
        self.head = nn.Linear(16, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        small = self.same(self.same(images)[:, :, ::2, ::2])
        return self.head(input=small.flatten(1))


def test_elements_are_those_of_one_sample_and_of_the_largest_call() -> None:
    model, images = Twice().eval(), torch.rand(3, 1, 8, 8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = activation_elements(Workload(model, images), find_layers(model, images[:1]))
    assert found == {"same": (64, 64), "head": (16, 5)}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("bits", "in_float", "layer", "size"),
    [
        (8, (), "first", 100 + 801),
        (4, (), "first", 50 + 401),
        (3, (), "first", 38 + 301),
        (8, ("second",), "second", 4 * 840),
    ],
)
def test_the_peak_counts_input_and_output_at_their_width(bits, in_float, layer, size) -> None:
    peak = activation_peak(ELEMENTS, bits, in_float)
    assert (peak.layer, peak.bytes) == (layer, size)
    target = activation_target(size / 1024, ELEMENTS, bits, in_float)
    assert target.achieved == target.limit == size / 1024
    with pytest.raises(InfeasibleError, match=f"layer '{layer}' takes"):
        activation_target((size - 1) / 1024, ELEMENTS, bits, in_float)


@pytest.mark.parametrize(
    ("limit", "in_float", "message"),
    [
        (451 / 1024, (), "at 8 bits 0.87988 KiB at once.*; --activation-bits 4 would keep it"),
        (0.1, (), "not even 2 bits would keep it"),
        (1.0, ("second",), "layer 'second' takes 800 numbers and gives 40, at 32.*do not exclude"),
    ],
)
def test_a_refusal_says_what_would_keep_the_limit(limit, in_float, message) -> None:
    with pytest.raises(InfeasibleError, match=message):
        activation_target(limit, ELEMENTS, 8, in_float)


def test_a_plan_that_another_one_replaces_hands_the_limit_on() -> None:
    layers = find_layers(Twice().eval(), torch.zeros(1, 1, 8, 8))
    settings = CostSettings()
    space = search_space(layers, (2, 4))
    budgets = make_budgets(space, settings, average_bits=4)
    problem = Problem.of([[-2.0, -1.0], [-3.0, -1.0]], space, budgets)
    target = activation_target(9, ELEMENTS, 8)
    plan = solve(problem, settings)
    plan = replace(plan, targets=(*plan.targets, target))
    made = replanned(plan, problem, (2, 4), settings)
    assert [item.name for item in made.targets] == ["average bits", "activations"]
    assert made.targets[0].achieved < plan.targets[0].achieved
    assert made.targets[1] == target


def test_no_layers_have_no_peak() -> None:
    with pytest.raises(AllocationError, match="no layers"):
        activation_peak({}, 8)


def test_the_command_holds_plans_to_it(tmp_path, capsys) -> None:
    line = ["--proxy", "relative_error", "--images", "16", "--average-bits", "3", "--no-plot"]
    table, out = tmp_path / "table.json", tmp_path / "plan.json"
    # The widest of digits: 8 channels of 8 x 8 in and out, at 8 bits 1 KiB.
    main([*line, "--activation-kib", "1", "--out", str(out), "--save-table", str(table)])
    target = load_plan(out).targets[-1]
    assert (target.name, target.unit, target.achieved) == ("activations", "KiB", 1.0)
    assert "activations" in capsys.readouterr().out
    short = ["--activation-kib", "0.5"]
    for source in (line[:4], ["--table", str(table)]):
        with pytest.raises(
            InfeasibleError, match=r"layer1.0.conv1.*--activation-bits 4 would"
        ) as at:
            main([*source, *line[4:], *short])
        assert at.value.status == 4
    main(["--table", str(table), *line[4:], *short, "--activation-bits", "4"])
    with pytest.raises(InfeasibleError, match="do not exclude it"):
        main([*line, "--activation-kib", "2", "--exclude", "layer1.0.conv1"])
