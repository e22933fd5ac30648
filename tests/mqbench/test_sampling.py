import numpy as np
import pytest

from gp_emq.errors import BenchError
from gp_emq.mqbench._sampling import sample_configurations, split_configurations


def test_configurations_are_distinct_and_repeat_with_the_seed():
    first = sample_configurations(300, 14, (2, 3, 4), (0, 0))
    assert first.shape == (300, 14)
    assert first.dtype == np.int8
    assert set(np.unique(first)) == {2, 3, 4}
    assert len(np.unique(first, axis=0)) == 300
    assert np.array_equal(first, sample_configurations(300, 14, (2, 3, 4), (0, 0)))
    assert not np.array_equal(first, sample_configurations(300, 14, (2, 3, 4), (1, 0)))


def test_a_longer_draw_begins_with_the_shorter_one():
    short, long = (sample_configurations(n, 5, (2, 3), 7) for n in (10, 30))
    assert np.array_equal(short, long[:10])


def test_every_configuration_can_be_drawn():
    everything = sample_configurations(8, 3, (2, 4), 0)
    assert len({tuple(row) for row in everything.tolist()}) == 8


@pytest.mark.parametrize("count", [0, 9])
def test_more_than_there_are_is_an_error(count):
    with pytest.raises(BenchError, match="there are 1 to 8 different ones"):
        sample_configurations(count, 3, (2, 4), 0)


def test_shares_of_the_split():
    split = split_configurations(425, (0, 1))
    assert [int((split == part).sum()) for part in range(3)] == [212, 64, 149]
    assert np.array_equal(split, split_configurations(425, (0, 1)))
