"""Cutting out of a graph what computes one layer, so that it can be run alone."""

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from gp_emq.export._onnx_values import readers

_FOLLOWING = frozenset({
    "Add", "Sub", "Mul", "Div", "BatchNormalization", "Relu", "Clip", "LeakyRelu", "PRelu", "Elu",
    "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "Gelu", "Softplus",
})  # fmt: skip
"""What goes with a layer where nothing else reads its output: biases, norms and activations."""
_LIMITS = ("Max", "Min")
_MOVES = ("Transpose", "Slice")


def cut_pieces(graph: ir.Graph, owners: Mapping[str, str]) -> dict[str, list[ir.Graph]]:
    """Cut out what computes each layer.

    A piece begins with the rounding of the layer's input, unless what makes that input does the
    rounding too; and it ends with what goes with the layer (bias, batch norm, activation), and
    with the rounding of its output where the layer does that too.

    Args:
        graph: Of a whole network, for a batch of a known size; it is left alone.
        owners: Names of layers, by the initializers that are their weights.

    Returns:
        A piece for each time that a layer's weight is used, by name of the layer.
    """
    fixed, sources = _fixed_values(graph, owners)
    found: dict[str, list[ir.Graph]] = {}
    for node in graph:
        names = {sources[value] for value in _given(node) if value in sources}
        data = [value for value in _given(node) if value not in fixed]
        if names and data:
            begins = list(dict.fromkeys(_begin(value, fixed) for value in data))
            piece = ir.convenience.extract(graph, begins, [_end(node, fixed)])
            found.setdefault(min(names), []).append(piece)
    return found


def _fixed_values(
    graph: ir.Graph, owners: Mapping[str, str]
) -> tuple[set[ir.Value], dict[ir.Value, str]]:
    """Return the values that are the same for all inputs, and the layers whose weights they are."""
    fixed = set(graph.initializers.values())
    sources = {value: owners[name] for name, value in graph.initializers.items() if name in owners}
    for node in graph:
        if all(value in fixed for value in _given(node)):
            fixed.update(node.outputs)
            for name in [sources[value] for value in _given(node) if value in sources]:
                sources.update(dict.fromkeys(node.outputs, name))
    return fixed, sources


def _given(node: ir.Node) -> Iterator[ir.Value]:
    return (value for value in node.inputs if value is not None)


def _begin(value: ir.Value, fixed: set[ir.Value]) -> ir.Value:
    """Follow a layer's input back over its rounding, as far as that is the layer's own."""
    integers = _taken(_before(_LIMITS, value, fixed), "DequantizeLinear")
    if integers is None:
        return value
    integers = _before(_MOVES, integers, fixed)
    before = _taken(integers, "QuantizeLinear")
    if before is None:
        return value
    maker = before.producer()
    if maker is not None and _in_integers(maker):
        return integers
    return _before(_LIMITS, before, fixed)


def _before(operators: tuple[str, ...], value: ir.Value, fixed: set[ir.Value]) -> ir.Value:
    """Follow a value back over some operators that do the same to all inputs."""
    while (maker := value.producer()) is not None and maker.op_type in operators:
        others = [given for given in _given(maker) if given not in fixed]
        if len(others) != 1:
            break
        (value,) = others
    return value


def _end(node: ir.Node, fixed: set[ir.Value]) -> ir.Value:
    """Follow a layer's output over what goes with it."""
    value = node.outputs[0]
    while True:
        uses = list(value.uses())
        if value.is_graph_output() or len(uses) != 1:
            break
        following = uses[0].node
        others = [given for given in _given(following) if given is not value]
        if following.op_type not in _FOLLOWING or not fixed.issuperset(others):
            break
        value = following.outputs[0]
    rounding = readers(value)
    if (
        value is node.outputs[0]
        and _in_integers(node)
        and rounding
        and rounding[0].op_type == "QuantizeLinear"
    ):
        return rounding[0].outputs[0]
    return value


def _in_integers(node: ir.Node) -> bool:
    """Say whether runtimes compute a node in integers, if its output is rounded."""
    made = [value.producer() for value in _given(node)][:2]
    return node.op_type in ("Conv", "MatMul") and all(
        maker is not None and maker.op_type == "DequantizeLinear" for maker in made
    )


def _taken(value: ir.Value, operator: str) -> ir.Value | None:
    """Return what a node of some operator made a value of, if one did."""
    maker = value.producer()
    return maker.inputs[0] if maker is not None and maker.op_type == operator else None
