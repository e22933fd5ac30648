"""From a network to an ONNX graph in which a marker stands for each rounding of an input."""

import contextlib
import copy
import io
import logging
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from gp_emq.errors import ExportError
from gp_emq.networks import input_of, leaves_of, undisturbed, with_input
from gp_emq.quantization import QuantizedModel

DOMAIN, MARKER, LAYER = "gp_emq", "RoundInput", "layer"
"""A marker's domain and operator, and the attribute that names its layer."""

INPUT, OUTPUT = "images", "logits"

# With one image torch.export would take the size of the batch for a constant.
_TRACED_BATCH = 2


def trace(quantized: QuantizedModel, sample: Tensor, opset: int, batch: int | None) -> ir.Model:
    """Write a quantized network's float operations as an ONNX graph.

    Args:
        quantized: The network.
        sample: One, (1, ...), of the shape and type that the network takes.
        opset: Of the graph.
        batch: How many images it takes; any number with None.

    Returns:
        A graph whose initializers have the names of the network's parameters, and with a node
        of the operator `MARKER` before each layer whose input is to be rounded.

    Raises:
        ExportError: The network does not export.
    """
    network = quantized.without_rounded_inputs().cpu()
    for name in quantized.activations:
        module = network.get_submodule(name)
        module.register_forward_pre_hook(_marking(name), with_kwargs=True)
    network.register_forward_hook(lambda _module, _inputs, outputs: _known(outputs))
    example = sample.repeat(batch or _TRACED_BATCH, *[1] * (sample.dim() - 1))
    axes = {0: torch.export.Dim("batch")} if batch is None else {}
    plain = (
        torch.inference_mode(mode=False),
        torch.autocast("cpu", enabled=False),
        torch.autocast("cuda", enabled=False),
    )
    with contextlib.ExitStack() as stack:
        for mode in (*plain, _quiet(), torch.no_grad()):
            stack.enter_context(mode)
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                # Optimization would fold the parameters that are to be replaced.
                optimize=False,
                verbose=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(axes,),
            )
        except (torch.onnx.OnnxExporterError, RuntimeError, ValueError, TypeError) as error:
            raise ExportError(_complaint(network, batch, error)) from error
    assert program is not None  # noqa: S101 - narrows; None is for the older exporter
    assert program.exported_program is not None  # noqa: S101 - what it was made from
    kept = program.exported_program.graph_signature.buffers_to_mutate.values()
    if kept and _remembers(quantized, example):
        raise ExportError(
            f"{type(network).__name__} keeps {', '.join(sorted(kept))} from one pass to the next, "
            "which an ONNX graph has no place for: give it to the network with its input"
        )
    shape = program.model.graph.inputs[0].shape
    # Where the network makes a constant of the size, the exporter does so too, and says nothing.
    if batch is None and (shape is None or isinstance(shape[0], int)):
        raise ExportError(
            f"{type(network).__name__} does not export to ONNX for batches of any size, because "
            "its forward makes a constant of it, as len(images) does: give a fixed one"
        )
    return program.model


def _known(outputs: Any) -> Any:
    """Return outputs as they are, or their tensors where torch does not know what holds them."""
    leaves, known = leaves_of(outputs), _pytree.tree_leaves(outputs)
    if len(leaves) == len(known) and all(map(operator.is_, leaves, known)):
        return outputs
    return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


def _remembers(quantized: QuantizedModel, example: Tensor) -> bool:
    """Tell whether a network gives other outputs when it sees the same inputs again."""
    network = copy.deepcopy(quantized).cpu()
    numbers = torch.Generator().manual_seed(0)
    if example.is_floating_point():
        example = torch.randn(example.shape, generator=numbers)
    with undisturbed(), torch.no_grad():
        first, again = (_pytree.tree_leaves(network(example)) for _ in range(2))
    pairs = zip(first, again, strict=False)
    return any(isinstance(one, Tensor) and not torch.equal(one, two) for one, two in pairs)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch warns, logs and prints; what fails is raised all the same."""
    before = logging.root.manager.disable
    unread = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(unread),
        contextlib.redirect_stderr(unread),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.ERROR)
        try:
            yield
        finally:
            logging.disable(before)


def _marking(name: str) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
    def mark(
        _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        first = input_of(inputs, named)
        marked = torch.onnx.ops.symbolic(
            f"{DOMAIN}::{MARKER}",
            (first,),
            {LAYER: name},
            dtype=first.dtype,
            shape=first.shape,
            version=1,
        )
        return with_input(inputs, named, marked)

    return mark


def _complaint(network: nn.Module, batch: int | None, error: BaseException) -> str:
    # The exporter wraps what went wrong in advice on how to report it.
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if "missing a required argument" in str(error):
        return (
            f"{type(network).__name__} takes several inputs, and an ONNX file is written of a "
            f"network of one: {lines[0]}"
        )
    size = "any size (perhaps for a fixed one)" if batch is None else f"the size {batch}"
    return (
        f"{type(network).__name__} does not export to ONNX for batches of {size}: "
        f"{lines[0] if lines else type(error).__name__}"
    )
