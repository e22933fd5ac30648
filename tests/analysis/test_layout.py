from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis._layered_layout import _closest_increasing, _Graph, layered_layout, spread


@st.composite
def layered_graphs(draw):
    layers = {number: draw(st.integers(0, 6)) for number in range(draw(st.integers(1, 14)))}
    pairs = [(a, b) for a, b in product(layers, layers) if layers[a] < layers[b]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []
    return layers, edges


@settings(deadline=None, max_examples=60)
@given(layered_graphs())
def test_nodes_of_a_layer_never_touch(graph):
    layers, edges = graph
    layout = layered_layout(layers, edges)
    for a, b in combinations(layers, 2):
        if layers[a] == layers[b]:
            assert abs(layout.heights[a] - layout.heights[b]) >= 1 - 1e-9


@settings(deadline=None, max_examples=60)
@given(layered_graphs())
def test_routes_lead_from_source_to_target_through_every_layer(graph):
    layers, edges = graph
    layout = layered_layout(layers, edges)
    assert set(layout.routes) == set(edges)
    for (source, target), route in layout.routes.items():
        assert len(route) == layers[target] - layers[source] + 1
        assert (route[0], route[-1]) == (layout.heights[source], layout.heights[target])


def test_a_tree_is_drawn_without_crossings():
    # Three families whose members are listed in turns, so that the first guess crosses.
    layers = {("child", family): 1 for family in range(3)}
    layers = {("parent", n): 0 for n in range(9)} | layers | {"root": 2}
    edges = [(("parent", n), ("child", n % 3)) for n in range(9)]
    edges += [(("child", family), "root") for family in range(3)]
    assert crossings_of(layers, edges) == 0


def crossings_of(layers, edges):
    paths = {edge: list(edge) for edge in edges}
    graph = _Graph(layers, paths, set())
    graph.order()
    return graph.crossings()


def test_crossings_are_counted():
    layers = {"a": 0, "b": 0, "x": 1, "y": 1}
    crossed = [("a", "y"), ("b", "x")]
    assert _Graph(layers, {edge: list(edge) for edge in crossed}, set()).crossings() == 1
    complete = list(product("ab", "xy"))
    assert _Graph(layers, {edge: list(edge) for edge in complete}, set()).crossings() == 1
    assert crossings_of(layers, crossed) == 0
    assert crossings_of(layers, complete) == 1


def test_the_same_graph_is_drawn_the_same():
    layers = {n: n // 4 for n in range(20)}
    edges = [(n, m) for n in layers for m in layers if layers[n] < layers[m] and (n * m) % 5 == 1]
    assert layered_layout(layers, edges) == layered_layout(dict(layers), list(edges))


def test_edges_lead_to_later_layers():
    with pytest.raises(ValueError, match="later layer"):
        layered_layout({"a": 1, "b": 1}, [("a", "b")])


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_the_closest_increasing_sequence_is_the_closest(values):
    found = _closest_increasing(np.array(values))
    assert all(a <= b + 1e-9 for a, b in pairwise(found))
    # The isotonic solution is characterised by means: it equals max over i of min over j of
    # the mean of values[i..j] (Barlow and others, 1972).
    n = len(values)
    for k in range(n):
        expected = max(min(np.mean(values[i : j + 1]) for j in range(k, n)) for i in range(k + 1))
        assert found[k] == pytest.approx(expected, abs=1e-6)


def test_numbers_are_spread_as_little_as_needed():
    assert spread([0.0, 5.0, 9.0], 1.0) == [0.0, 5.0, 9.0]
    assert spread([0.0, 0.0], 1.0) == [-0.5, 0.5]
    assert spread([], 1.0) == []
