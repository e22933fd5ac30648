"""The options of commands that write files of quantized networks."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gp_emq.export._onnx import export_onnx, require_onnx
from gp_emq.export._packed import save_packed
from gp_emq.export._report import ExportReport, format_report
from gp_emq.networks import Network
from gp_emq.outputs import OutputFile
from gp_emq.quantization import QuantizedModel

EXPORT_OPTIONS = ("packed", "onnx")
"""Names of the options that `add_export_options` adds."""


def add_export_options(group: argparse._ActionsContainer) -> None:
    """Add ``--packed`` and ``--onnx``.

    Args:
        group: A parser, or a group of its options.
    """
    group.add_argument(
        "--packed", type=OutputFile(), metavar="FILE.safetensors",
        help="write it once more, and say what is stored of each layer; see docs/export.md",
    )  # fmt: skip
    group.add_argument(
        "--onnx", type=OutputFile(), metavar="FILE.onnx",
        help="also write it as an ONNX graph with quantizing and dequantizing nodes (needs pip "
        "install gp_emq[onnx])",
    )  # fmt: skip


def check_exports(options: argparse.Namespace) -> None:
    """Complain before anything is computed of what could not be written.

    Raises:
        ExportError: ONNX files are wanted, and their packages are not installed.
    """
    if options.onnx is not None:
        require_onnx()


def export_files(
    options: argparse.Namespace,
    quantized: QuantizedModel,
    network: Network,
    provenance: Mapping[str, Any],
) -> None:
    """Write the files that were asked for, and say on standard error what they hold.

    Args:
        options: The command line.
        quantized: The quantized network.
        network: The float network that it is of.
        provenance: Plain values to keep in the files.

    Raises:
        ExportError: The network cannot be stored so.
        RunError: A file cannot be written.
    """
    if options.packed is not None:
        _tell(options.packed, save_packed(
            quantized, network.layers, options.packed, provenance=provenance
        ))  # fmt: skip
    if options.onnx is not None:
        _tell(options.onnx, export_onnx(
            quantized, network.layers, options.onnx, network.input_shape, provenance=provenance
        ))  # fmt: skip


def _tell(path: Path, report: ExportReport) -> None:
    sys.stderr.write(f"wrote {path}\n{format_report(report)}\n")
