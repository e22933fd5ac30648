"""Plans as other programs read them: CSV, and per-layer settings of torchao and Model-Optimizer.

The settings are plain values, as JSON has them; neither library is needed to write them. What they
hold is the widths: scales are computed over there, by their own rules.
"""

import csv
import glob
import io
from collections.abc import Sequence
from typing import Any

from gp_emq.allocation._plan import Plan, PlannedLayer
from gp_emq.allocation._space import EXCLUDED, FLOAT_BITS
from gp_emq.errors import AllocationError
from gp_emq.networks import Layer

_COLUMNS = ("layer", "bits", "decision", "entry", "kind", "parameters", "macs", "score")


def plan_csv(plan: Plan) -> str:
    """Write a plan as CSV: one line for each layer, after one of names.

    Args:
        plan: The plan.

    Returns:
        The lines; a layer in float has 32 bits, and a score is that of all layers of an entry, in
        the line of the first.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(map(_row, plan.layers))
    return text.getvalue()


def torchao_config(plan: Plan) -> dict[str, Any]:
    """Write a plan as what torchao's `config_from_dict` reads: an `FqnToConfig`.

    Weights alone, with a symmetric grid for each output channel. `torchao.quantization.quantize_`
    takes the result with `filter_fn=None`.

    Args:
        plan: The plan.

    Raises:
        AllocationError: It quantizes a convolution.
    """
    check_torchao([item.layer for item in plan.layers if item.decision != EXCLUDED])
    return {
        "_type": "FqnToConfig",
        "_version": 1,
        "_data": {"fqn_to_config": {name: _intx(bits) for name, bits in plan.widths.items()}},
    }


def check_torchao(layers: Sequence[Layer]) -> None:
    """Refuse layers that torchao has no integer weights for.

    Args:
        layers: Those that are quantized.

    Raises:
        AllocationError: One is neither `Linear` nor `Embedding`.
    """
    _refuse_projections(layers, "torchao")
    others = [layer.name for layer in layers if layer.kind not in ("Linear", "Embedding")]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise AllocationError(
            f"torchao quantizes Linear and Embedding layers alone, and {others[0]!r}{more} are "
            "others: keep them in float, or take the configuration of Model-Optimizer"
        )


def modelopt_config(plan: Plan) -> dict[str, Any]:
    """Write a plan as what Model-Optimizer's `modelopt.torch.quantization.quantize` takes.

    Weights with a grid for each output channel, and, where the plan knows their width, inputs of
    the same layers with one grid each, but indices; all else stays in float.

    Args:
        plan: The plan.

    Raises:
        AllocationError: It quantizes a projection of `MultiheadAttention`.
    """
    check_modelopt([item.layer for item in plan.layers if item.decision != EXCLUDED])
    entries: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    inputs = plan.activation_bits
    of_indices = {item.name for item in plan.layers if item.layer.takes_indices}
    for name, bits in plan.widths.items():
        entries.append(_quantizer(name, "weight", bits, 0))
        if inputs is not None and inputs != FLOAT_BITS and name not in of_indices:
            entries.append(_quantizer(name, "input", inputs, None))
    return {"quant_cfg": entries, "algorithm": "max"}


def check_modelopt(layers: Sequence[Layer]) -> None:
    """Refuse layers that Model-Optimizer would pass over.

    Args:
        layers: Those that are quantized.

    Raises:
        AllocationError: One is a projection of `MultiheadAttention`.
    """
    _refuse_projections(layers, "Model-Optimizer")


def _refuse_projections(layers: Sequence[Layer], library: str) -> None:
    names = [layer.name for layer in layers if layer.kind == "Projection"]
    if names:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise AllocationError(
            f"{library} quantizes modules, and {names[0]!r}{more} are parts of MultiheadAttention, "
            "which calls none for what it projects: keep them in float (--exclude '*_proj')"
        )


def _row(planned: PlannedLayer) -> tuple[object, ...]:
    layer = planned.layer
    score = "" if planned.score is None else repr(planned.score)
    return (
        layer.name, planned.bits, planned.decision, layer.entry, layer.kind, layer.parameters,
        layer.macs, score,
    )  # fmt: skip


def _intx(bits: int) -> dict[str, Any]:
    return {
        "_type": "IntxWeightOnlyConfig",
        "_version": 2,
        "_data": {
            "weight_dtype": {"_type": "torch.dtype", "_data": f"int{bits}"},
            "granularity": {"_type": "PerAxis", "_version": 1, "_data": {"axis": 0}},
            "mapping_type": {"_type": "MappingType", "_data": "SYMMETRIC"},
        },
    }


def _quantizer(name: str, what: str, bits: int, axis: int | None) -> dict[str, Any]:
    return {
        # Names are patterns over there.
        "quantizer_name": f"{glob.escape(name)}.{what}_quantizer",
        "cfg": {"num_bits": bits, "axis": axis},
        "enable": True,
    }
