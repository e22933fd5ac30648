from ._contents import bytes_beside, float_bytes
from ._files import export_files
from ._layer_graphs import LayerExporter, LayerGraphs
from ._loading import load_quantized, read_record
from ._onnx import export_onnx, require_onnx
from ._packed import save_packed, save_quantized
from ._report import format_report

__all__ = [
    "LayerExporter",
    "LayerGraphs",
    "bytes_beside",
    "export_files",
    "export_onnx",
    "float_bytes",
    "format_report",
    "load_quantized",
    "read_record",
    "require_onnx",
    "save_packed",
    "save_quantized",
]
