import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.errors import StatisticsError
from gp_emq.statistics import Layout

SHAPES = st.lists(
    st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6
)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    shapes = draw(SHAPES)
    steps = [0, *(draw(st.integers(0, 1)) for _ in shapes[1:])]
    return Layout(tuple(shapes), tuple(itertools.accumulate(steps)))


@given(layouts())
def test_views_put_every_element_in_one_tensor_in_order(layout: Layout) -> None:
    flat = torch.arange(float(layout.size))
    views = layout.views(flat)
    assert [tuple(view.shape) for view in views] == list(layout.shapes)
    assert torch.equal(torch.cat([view.reshape(-1) for view in views]), flat)
    assert views[0].data_ptr() == flat.data_ptr()


@given(layouts())
def test_views_keep_a_leading_axis(layout: Layout) -> None:
    flat = torch.arange(2.0 * layout.size).view(2, -1)
    for stacked, single in zip(layout.views(flat), layout.views(flat[1]), strict=True):
        assert torch.equal(stacked[1], single)


@given(layouts())
def test_entry_sums_are_sums_over_the_tensors_of_the_entry(layout: Layout) -> None:
    flat = torch.arange(1.0, layout.size + 1)
    expected = [0.0] * layout.entry_count
    for entry, view in zip(layout.entries, layout.views(flat), strict=True):
        expected[entry] += math.fsum(view.reshape(-1).tolist())
    assert layout.sum_entries(flat).tolist() == expected
    assert len(layout.entry_bounds) == layout.entry_count + 1


@pytest.mark.parametrize(
    ("shapes", "entries"),
    [((), ()), (((2,),), (1,)), (((2,), (2,)), (0, 2)), (((2,), (2,)), (1, 0)), (((0,),), (0,))],
)
def test_impossible_layouts_are_refused(
    shapes: tuple[tuple[int, ...], ...], entries: tuple[int, ...]
) -> None:
    with pytest.raises(StatisticsError):
        Layout(shapes, entries)


def test_a_buffer_of_another_size_is_refused() -> None:
    with pytest.raises(StatisticsError, match="5 elements does not fit a layout of 4"):
        Layout(((4,),), (0,)).views(torch.zeros(5))
