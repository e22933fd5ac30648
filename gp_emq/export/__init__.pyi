from ._bits import pack_integers, packed_size, unpack_integers
from ._contents import bytes_beside, float_bytes
from ._files import export_files
from ._loading import (
    QuantizationRecord,
    load_provenance,
    load_quantized,
    read_record,
)
from ._onnx import export_onnx, require_onnx
from ._packed import save_packed, save_quantized
from ._report import ExportReport, StoredLayer, StoredWeight, format_report

__all__ = [
    "ExportReport",
    "QuantizationRecord",
    "StoredLayer",
    "StoredWeight",
    "bytes_beside",
    "export_files",
    "export_onnx",
    "float_bytes",
    "format_report",
    "load_provenance",
    "load_quantized",
    "pack_integers",
    "packed_size",
    "read_record",
    "require_onnx",
    "save_packed",
    "save_quantized",
    "unpack_integers",
]
