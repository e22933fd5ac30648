"""Names mean one layer, patterns several, and one weight has one decision."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.allocate import main
from gp_emq.allocation import allocate
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.networks import Layer

NAMES = ("conv[1]", "conv1", "block.0.conv", "block.1.conv", "head", "head*")


def layers(entries=(0, 1, 2, 3, 4, 5)) -> tuple[Layer, ...]:
    return tuple(
        Layer(name, "Linear", (4, 4), 16, 0, 16, depth, entry)
        for depth, (name, entry) in enumerate(zip(NAMES, entries, strict=True))
    )


LAYERS = layers()
TIED = layers((0, 1, 2, 2, 3, 4))
"""The two blocks' layers have one width."""

chosen = partial(allocate, [[-9.0, -4.0, -1.0]] * 6, layers=LAYERS, bits=(2, 3, 4), average_bits=8)
tied = partial(allocate, [[-9.0, -4.0, -1.0]] * 5, layers=TIED, bits=(2, 3, 4), average_bits=8)


def test_a_name_with_brackets_is_that_layer_alone() -> None:
    plan = chosen(fix={"conv[1]": 8})
    assert {name for name, bits in plan.widths.items() if bits == 8} == {"conv[1]"}
    plan = chosen(exclude=["head*"])
    assert set(NAMES) - set(plan.widths) == {"head*"}


@given(name=st.sampled_from(NAMES), kind=st.sampled_from(["fix", "choices", "exclude"]))
def test_every_layer_can_be_named(name: str, kind: str) -> None:
    asked = {"fix": {name: 2}, "choices": {name: (2,)}, "exclude": [name]}[kind]
    plan = chosen(**{kind: asked})
    expected = 32 if kind == "exclude" else 2
    assert plan.configuration == tuple(expected if other == name else 4 for other in NAMES)


def test_patterns_still_mean_several() -> None:
    plan = chosen(fix={"block.[01].*": 2, "conv?": 3})
    assert plan.configuration == (4, 3, 2, 2, 4, 4)


def test_names_count_before_patterns_and_later_patterns_before_earlier_ones() -> None:
    assert chosen(fix={"conv1": 8, "*": 2}).configuration == (2, 8, 2, 2, 2, 2)
    assert chosen(fix={"*": 2, "block*": 3}).configuration == (2, 2, 3, 3, 2, 2)
    assert chosen(fix={"block*": 3, "*": 2}).configuration == (2, 2, 2, 2, 2, 2)
    assert chosen(choices={"head": (2,), "h*": (3,)}).configuration == (4, 4, 4, 4, 2, 3)


def test_what_holds_for_one_of_an_entry_holds_for_all() -> None:
    plan = tied(fix={"block.1.conv": 8})
    assert (plan.widths["block.0.conv"], plan.widths["block.1.conv"]) == (8, 8)
    plan = tied(fix={"*": 2, "block.0.*": 3})
    assert (plan.widths["block.0.conv"], plan.widths["block.1.conv"]) == (3, 3)
    assert {"block.0.conv", "block.1.conv"}.isdisjoint(tied(exclude=["block.0.conv"]).widths)
    same = tied(fix={"block.0.conv": 3, "block.1.conv": 3})
    assert same.widths["block.0.conv"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fix": {"block.0.conv": 2, "block.1.conv": 3}}, "fixed widths of 'block.0.conv' and"),
        ({"fix": {"block.0.*": 2, "block.1.*": 3}}, "fixed widths of 'block.0.*' and 'block.1.*'"),
        ({"fix": {"block.0.*": 2, "block.1.*": 3, "head": 2}}, "contradict each other"),
        ({"choices": {"block.0.conv": (2,), "block.1.conv": (2, 3)}}, "the choices of 'block.0.c"),
        ({"fix": {"block.0.conv": 2}, "exclude": ["block.1.conv"]}, "stay in float and be fixed"),
    ],
)
def test_contradictions_over_one_entry_are_refused(options, message: str) -> None:
    with pytest.raises(AllocationError, match=message.replace("*", r"\*")) as caught:
        tied(**options)
    assert "'block.0.conv' and 'block.1.conv'" in str(caught.value)


@pytest.mark.parametrize("asked", [{"fix": {"conv[2]": 8}}, {"exclude": ["conv[2]"]}])
def test_near_matches_are_named(asked) -> None:
    with pytest.raises(AllocationError, match=r"'conv\[2\]' matches no.*did you mean 'conv\[1\]'"):
        chosen(**asked)


def test_the_command_names_near_matches() -> None:
    arguments = ["--images", "8", "--proxy", "relative_error", "--average-bits", "3"]
    with pytest.raises(GpEmqError, match=r"'conv2' matches no layer; did you mean 'conv1'"):
        main([*arguments, "--fix", "conv2=8"])
