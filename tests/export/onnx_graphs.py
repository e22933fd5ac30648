"""Running ONNX files, and what onnxruntime makes of them."""

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime
import torch
from torch import Tensor

LEVELS = onnxruntime.GraphOptimizationLevel


def run(path: Path, images: Tensor, level=LEVELS.ORT_ENABLE_ALL) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def operators(path: Path) -> Counter[str]:
    """How often each operator is in the graph that onnxruntime runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    optimized = path.with_suffix(".optimized.onnx")
    options.optimized_model_filepath = str(optimized)
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(optimized).graph.node)
