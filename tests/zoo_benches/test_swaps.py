import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.zoo_benches._swaps import TOLERANCE, Sizes, near_size, neighbour

PARAMETERS = np.array([9, 40, 40, 80, 160, 160, 320, 30, 64, 64, 12, 100])


def sizes() -> Sizes:
    """Of twelve entries at 2, 3 and 4 bits."""
    return Sizes.of(PARAMETERS[:, None] * np.array([2.0, 3.0, 4.0]))


def by_hand(widths) -> float:
    bits = sum(int(n) * (2 + place) for n, place in zip(PARAMETERS, widths, strict=True))
    least, most = 2 * PARAMETERS.sum(), 4 * PARAMETERS.sum()
    return (bits - least) / (most - least)


@given(st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_shares_of_size_are_those_of_the_parameters(widths) -> None:
    assert np.isclose(sizes().share(tuple(widths)), by_hand(widths), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(st.floats(0.05, 0.95), st.integers(0, 2**32))
def test_a_random_one_has_the_wanted_size(share: float, seed: int) -> None:
    found = near_size(sizes(), share, np.random.default_rng(seed))
    assert found is not None
    assert abs(by_hand(found) - share) <= TOLERANCE + 1e-9


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2), min_size=12, max_size=12), st.integers(1, 3), st.integers(0, 2**32)
)
def test_a_neighbour_differs_by_its_swaps_and_keeps_the_size(widths, swaps, seed) -> None:
    found = neighbour(sizes(), tuple(widths), swaps, np.random.default_rng(seed))
    if found is None:
        return
    steps = np.subtract(found, widths)
    assert sorted(steps[steps != 0]) == [-1] * swaps + [1] * swaps
    assert abs(by_hand(found) - by_hand(widths)) <= TOLERANCE + 1e-9


def test_a_neighbour_is_found_where_brute_force_finds_some() -> None:
    widths = (1,) * 12
    pairs = [
        (up, down)
        for up, down in itertools.permutations(range(12), 2)
        if abs(int(PARAMETERS[up]) - int(PARAMETERS[down])) / (2 * PARAMETERS.sum()) <= TOLERANCE
    ]
    assert len(pairs) > 10
    found = {neighbour(sizes(), widths, 1, np.random.default_rng(seed)) for seed in range(400)}
    steps = [np.subtract(one, widths) for one in found if one is not None]
    assert {(int(s.argmax()), int(s.argmin())) for s in steps} == set(pairs)


def test_there_is_no_neighbour_of_the_least_and_none_of_an_impossible_size() -> None:
    generator = np.random.default_rng(0)
    assert neighbour(sizes(), (0,) * 12, 1, generator) is None
    coarse = Sizes.of(np.array([[2.0, 4.0]]))
    assert near_size(coarse, 0.5, generator) is None
