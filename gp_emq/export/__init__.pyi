from ._bits import pack_integers, packed_size, unpack_integers
from ._loading import load_packed, load_provenance
from ._onnx import export_onnx
from ._options import (
    EXPORT_OPTIONS,
    add_export_options,
    check_exports,
    export_files,
)
from ._packed import save_packed
from ._report import ExportReport, StoredLayer, StoredWeight, format_report

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
