"""Files of quantized networks: packed ones to load again, and ONNX graphs to run."""

from gp_emq.export._bits import pack_integers, packed_size, unpack_integers
from gp_emq.export._loading import load_packed, load_provenance
from gp_emq.export._onnx import export_onnx
from gp_emq.export._options import (
    EXPORT_OPTIONS,
    add_export_options,
    check_exports,
    export_files,
)
from gp_emq.export._packed import save_packed
from gp_emq.export._report import ExportReport, StoredLayer, StoredWeight, format_report

__all__ = [
    "EXPORT_OPTIONS",
    "ExportReport",
    "StoredLayer",
    "StoredWeight",
    "add_export_options",
    "check_exports",
    "export_files",
    "export_onnx",
    "format_report",
    "load_packed",
    "load_provenance",
    "pack_integers",
    "packed_size",
    "save_packed",
    "unpack_integers",
]
