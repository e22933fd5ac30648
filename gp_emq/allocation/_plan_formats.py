"""Plans as other programs read them: CSV, and per-layer settings of torchao and Model-Optimizer.

The settings are plain values, as JSON has them; neither library is needed to write them. What they
hold is the widths: scales are computed over there, by their own rules.
"""

import csv
import glob
import io
import math
from collections.abc import Sequence
from typing import Any

from gp_emq.allocation._plan import Plan, PlannedLayer
from gp_emq.allocation._space import EXCLUDED, FLOAT_BITS
from gp_emq.errors import AllocationError
from gp_emq.networks import PER_CHANNEL, Granularity, Layer

_COLUMNS = ("layer", "bits", "decision", "entry", "kind", "parameters", "macs", "score")


def plan_csv(plan: Plan) -> str:
    """Write a plan as CSV: one line for each layer, after one of names.

    Args:
        plan: The plan.

    Returns:
        The lines; a layer in float has 32 bits, and a score is that of all layers of an entry, in
        the line of the first. Where the plan has groups of weights that share a scale, a last
        column says of how many.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [_COLUMNS, *map(_row, plan.layers)]
    if plan.scale_group is not None:
        groups = ["" if _in_float(item) else plan.scale_group for item in plan.layers]
        rows = [(*row, last) for row, last in zip(rows, ["scale_group", *groups], strict=True)]
    writer.writerows(rows)
    return text.getvalue()


def torchao_config(plan: Plan) -> dict[str, Any]:
    """Write a plan as what torchao's `config_from_dict` reads: an `FqnToConfig`.

    Weights alone, with a symmetric grid for each output channel, or for each group of weights that
    the plan counted with. `torchao.quantization.quantize_` takes the result with `filter_fn=None`.

    Args:
        plan: The plan.

    Raises:
        AllocationError: It quantizes a convolution, or has groups that torchao has not.
    """
    layers = [item.layer for item in plan.layers if not _in_float(item)]
    check_torchao(layers, plan.granularity)
    found = {
        layer.name: _intx(plan.widths[layer.name], _group(layer, plan.granularity))
        for layer in layers
    }
    return {"_type": "FqnToConfig", "_version": 1, "_data": {"fqn_to_config": found}}


def check_torchao(layers: Sequence[Layer], granularity: Granularity = PER_CHANNEL) -> None:
    """Refuse layers that torchao has no integer weights for.

    Args:
        layers: Those that are quantized.
        granularity: What of a weight shares a scale.

    Raises:
        AllocationError: One is neither `Linear` nor `Embedding`, or has rows that groups do not
            divide.
    """
    _refuse_projections(layers, "torchao")
    others = [layer.name for layer in layers if layer.kind not in ("Linear", "Embedding")]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise AllocationError(
            f"torchao quantizes Linear and Embedding layers alone, and {others[0]!r}{more} are "
            "others: keep them in float, or take the configuration of Model-Optimizer"
        )
    for layer in layers:
        group = _group(layer, granularity)
        if group is not None and _channel(layer) % group:
            raise AllocationError(
                f"torchao has groups that divide the rows of a weight, and those of "
                f"{layer.name!r} have {_channel(layer)} values, no multiple of {group}: give "
                "another group, or keep it in float"
            )


def modelopt_config(plan: Plan) -> dict[str, Any]:
    """Write a plan as what Model-Optimizer's `modelopt.torch.quantization.quantize` takes.

    Weights with a grid for each output channel, or for each group of weights that the plan counted
    with, and, where the plan knows their width, inputs of the same layers with one grid each, but
    indices; all else stays in float.

    Args:
        plan: The plan.

    Returns:
        The configuration. The axis of groups, -1, is a number over there, and a text in JSON, which
        who reads it must turn back.

    Raises:
        AllocationError: It quantizes a projection of `MultiheadAttention`, or has groups in layers
            where Model-Optimizer would have others.
    """
    entries: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    layers = [item.layer for item in plan.layers if not _in_float(item)]
    check_modelopt(layers, plan.granularity)
    inputs = plan.activation_bits
    for layer in layers:
        group = _group(layer, plan.granularity)
        shares = {"axis": 0} if group is None else {"block_sizes": {-1: group}}
        entries.append(_quantizer(layer.name, "weight", plan.widths[layer.name], shares))
        if inputs is not None and inputs != FLOAT_BITS and not layer.takes_indices:
            entries.append(_quantizer(layer.name, "input", inputs, {"axis": None}))
    return {"quant_cfg": entries, "algorithm": "max"}


def check_modelopt(layers: Sequence[Layer], granularity: Granularity = PER_CHANNEL) -> None:
    """Refuse layers that Model-Optimizer would pass over, or would give other groups.

    Args:
        layers: Those that are quantized.
        granularity: What of a weight shares a scale.

    Raises:
        AllocationError: One is a projection of `MultiheadAttention`, or is neither `Linear`
            nor `Embedding` and has several groups in a channel.
    """
    _refuse_projections(layers, "Model-Optimizer")
    for layer in layers:
        if layer.kind not in ("Linear", "Embedding") and _group(layer, granularity) is not None:
            raise AllocationError(
                f"Model-Optimizer has groups in Linear and Embedding layers alone, and "
                f"{layer.name!r} is a {layer.kind}: keep it in float, or give no groups"
            )


def _refuse_projections(layers: Sequence[Layer], library: str) -> None:
    names = [layer.name for layer in layers if layer.kind == "Projection"]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise AllocationError(
            f"{library} quantizes modules, and {names[0]!r}{more} are parts of MultiheadAttention, "
            "which calls none for what it projects: keep them in float (--exclude '*_proj')"
        )


def _channel(layer: Layer) -> int:
    """Count the weights of an output channel."""
    return math.prod(layer.weight_shape[1:])


def _group(layer: Layer, granularity: Granularity) -> int | None:
    """Give the group of a layer's weights, None where a channel has one scale."""
    return granularity.group if granularity.groups(_channel(layer)) > 1 else None


def _in_float(planned: PlannedLayer) -> bool:
    return planned.decision == EXCLUDED


def _row(planned: PlannedLayer) -> tuple[object, ...]:
    layer = planned.layer
    score = "" if planned.score is None else repr(planned.score)
    return (
        layer.name, planned.bits, planned.decision, layer.entry, layer.kind, layer.parameters,
        layer.macs, score,
    )  # fmt: skip


def _intx(bits: int, group: int | None) -> dict[str, Any]:
    channel = {"_type": "PerAxis", "_version": 1, "_data": {"axis": 0}}
    groups = {"_type": "PerGroup", "_version": 1, "_data": {"group_size": group}}
    return {
        "_type": "IntxWeightOnlyConfig",
        "_version": 2,
        "_data": {
            "weight_dtype": {"_type": "torch.dtype", "_data": f"int{bits}"},
            "granularity": channel if group is None else groups,
            "mapping_type": {"_type": "MappingType", "_data": "SYMMETRIC"},
        },
    }


def _quantizer(name: str, what: str, bits: int, shares: dict[str, Any]) -> dict[str, Any]:
    return {
        # Names are patterns over there.
        "quantizer_name": f"{glob.escape(name)}.{what}_quantizer",
        "cfg": {"num_bits": bits, **shares},
        "enable": True,
    }
