"""Files of quantized networks beside the one that is always written."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gp_emq._progress import waiting_for
from gp_emq.export._onnx import export_onnx
from gp_emq.export._packed import save_packed
from gp_emq.export._report import ExportReport, format_report
from gp_emq.networks import Network
from gp_emq.quantization import QuantizedModel


def export_files(
    quantized: QuantizedModel,
    network: Network,
    provenance: Mapping[str, Any],
    *,
    packed: Path | None,
    onnx: Path | None,
) -> None:
    """Write the files that were asked for, and say on standard error what they hold.

    Args:
        quantized: The quantized network.
        network: The float network that it is of.
        provenance: Plain values to keep in the files.
        packed: Where to write it packed, or None.
        onnx: Where to write an ONNX graph of it, or None.

    Raises:
        ExportError: The network cannot be stored so.
        RunError: A file cannot be written.
    """
    if packed is not None:
        _tell(packed, save_packed(
            quantized, network.layers, packed, provenance=provenance
        ))  # fmt: skip
    if onnx is not None:
        with waiting_for(f"writing {onnx.name}"):  # torch takes seconds to trace a network
            report = export_onnx(
                quantized, network.layers, onnx, network.input_shape, provenance=provenance
            )
        _tell(onnx, report)


def _tell(path: Path, report: ExportReport) -> None:
    sys.stderr.write(f"wrote {path}\n{format_report(report)}\n")
