"""Timing a network's layers, each alone, as the file of the whole network has it."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import nn

from gp_emq.allocation import FLOAT_BITS, LatencyTable, LayerLatency, WholeLatency
from gp_emq.errors import ExportError
from gp_emq.networks import Layer, Network, Samples, private_copy
from gp_emq.profiling._names import ALL_BITS, ROUNDS
from gp_emq.profiling._processor import processor
from gp_emq.profiling._rounds import Timing, clock_of, time_in_rounds
from gp_emq.quantization import (
    ActivationQuantizer,
    WeightQuantizer,
    calibrate_activations,
    grids_by_name,
    quantize_weights,
)

if TYPE_CHECKING:
    from gp_emq.export import LayerExporter, LayerGraphs
    from gp_emq.profiling._runtime import Form, Runnable

_LEAST = 1e-6
"""Milliseconds of what takes no longer than nothing does."""

Progress = Callable[[str, int, int], object]
"""Takes what is done, how much of it and of how much."""


@dataclass(frozen=True)
class ProfileSettings:
    """How layers are timed.

    Attributes:
        bits: Widths of weights; float is timed, too.
        activation_bits: Of the inputs of quantized layers, 32 for float.
        per_channel: One scale per output channel.
        threads: How many the runtime may use.
        rounds: How often each layer is timed.
    """

    bits: tuple[int, ...] = ALL_BITS
    activation_bits: int = 8
    per_channel: bool = True
    threads: int = 1
    rounds: int = ROUNDS


def require_onnxruntime() -> str:
    """Import the optional packages that run layers, and return the runtime's version.

    Raises:
        ExportError: They are not installed.
    """
    try:
        importlib.import_module("onnxscript")
        return f"onnxruntime {importlib.import_module('onnxruntime').__version__}"
    except ImportError as error:
        raise ExportError(
            f"timing layers needs packages that are not installed ({error}); "
            "install them with: pip install gp_emq[profile]"
        ) from error


def profile(
    network: Network,
    samples: Samples,
    settings: ProfileSettings | None = None,
    *,
    progress: Progress = lambda _what, _done, _total: None,
) -> LatencyTable:
    """Time each layer of a network at each width on this machine, and the whole network.

    Each layer is cut out of the ONNX file that `gp_emq.export.export_onnx` would write of the
    network with all layers at that width, with batch norm, activation and roundings as they are
    there. Widths that onnxruntime runs as the same graph are timed once. Times are less what
    running a graph that does nothing takes.

    Args:
        network: Of one tensor of floats.
        samples: (n, C, H, W), that choose the grids of inputs.
        settings: How layers are timed.
        progress: Called after each step.

    Raises:
        ExportError: Optional packages are not installed, or the network does not export.
    """
    settings = settings or ProfileSettings()
    runtime = require_onnxruntime()
    if not network.input_shape:
        raise ExportError(
            f"layers are timed of networks of one tensor of floats, as {network.name} does not take"
        )
    widths = sorted({*settings.bits, FLOAT_BITS}, key=lambda bits: (bits != FLOAT_BITS, -bits))
    total = len(widths) + 1
    progress("tracing", 0, total)
    model = private_copy(network.model)  # in the form that layers are of
    exporter = _exporter(model, network, samples, settings)
    quantizer = WeightQuantizer(per_channel=settings.per_channel)
    weights = quantize_weights(model, network.layers, settings.bits, quantizer)
    timed = _Timed(settings.threads)
    for done, bits in enumerate(widths, start=1):
        progress(f"{bits} bits", done, total)
        quantized = {
            layer.name: weights[place, bits]
            for place, layer in enumerate(network.layers)
            if bits != FLOAT_BITS
        }
        timed.add(bits, exporter.graphs(quantized))
    found = timed.measure(settings.rounds, progress)
    return LatencyTable(
        network=network.name,
        processor=processor(),
        runtime=runtime,
        threads=settings.threads,
        clock="processor" if settings.threads == 1 else "wall",
        activation_bits=settings.activation_bits,
        layers=tuple(_rows(network.layers, timed, found, sorted(widths))),
        whole=tuple(
            WholeLatency(bits, found[key].milliseconds, found[key].spread)
            for bits, key in ((bits, timed.keys["", bits]) for bits in sorted(widths))
        ),
    )


def _exporter(
    model: nn.Module, network: Network, samples: Samples, settings: ProfileSettings
) -> "LayerExporter":
    from gp_emq.export import LayerExporter  # noqa: PLC0415 - needs optional packages

    inputs = {}
    if settings.activation_bits != FLOAT_BITS:
        grids = calibrate_activations(
            model, network.layers, samples, ActivationQuantizer(settings.activation_bits)
        )
        inputs = grids_by_name(network.layers, grids)
    return LayerExporter(model, network.layers, inputs, network.input_shape)


Key = tuple[str, int]
"""Name of a layer, or nothing for the whole network, and a width."""


@dataclass
class _Timed:
    """What is timed: every form that onnxruntime makes of a layer, once.

    Attributes:
        threads: How many it may use.
        keys: The layer and width that is timed for each layer and width.
        forms: What onnxruntime makes of those.
    """

    threads: int
    keys: dict[Key, Key] = field(default_factory=dict)
    forms: "dict[Key, tuple[Form, ...]]" = field(default_factory=dict)
    _graphs: "dict[Key, tuple[Runnable, ...]]" = field(default_factory=dict)

    def add(self, bits: int, graphs: "LayerGraphs") -> None:
        """Add all layers at a width."""
        for name, contents in {"": (graphs.whole,), **graphs.layers}.items():
            self._add((name, bits), contents)

    def _add(self, key: Key, contents: Sequence[bytes]) -> None:
        from gp_emq.profiling._runtime import Runnable  # noqa: PLC0415 - needs optional packages

        made = tuple(Runnable(content, self.threads) for content in contents)
        forms = tuple(graph.form for graph in made)
        for other, known in self.forms.items():
            if other[0] == key[0] and known == forms:
                self.keys[key] = other
                return
        self.keys[key], self.forms[key], self._graphs[key] = key, forms, made

    def measure(self, rounds: int, progress: Progress) -> dict[Key, Timing]:
        """Time everything, less what running nothing takes."""
        from gp_emq.profiling._runtime import Runnable, empty_graph  # noqa: PLC0415 - as above

        nothing: Key = ("", 0)
        graphs = {**self._graphs, nothing: (Runnable(empty_graph(), self.threads),)}
        found = time_in_rounds(
            {key: _running(own) for key, own in graphs.items()},
            rounds,
            clock=clock_of(self.threads),
            progress=lambda done: progress("rounds", done, rounds),
        )
        least = found.pop(nothing).milliseconds
        return {
            key: Timing(
                max(timing.milliseconds - len(graphs[key]) * least, _LEAST), timing.spread
            )
            for key, timing in found.items()
        }  # fmt: skip


def _running(graphs: "Sequence[Runnable]") -> Callable[[], None]:
    def run() -> None:
        for graph in graphs:
            graph.run()

    return run


def _rows(
    layers: Sequence[Layer], timed: _Timed, found: Mapping[Key, Timing], widths: Sequence[int]
) -> list[LayerLatency]:
    """Give the rows of all layers; those that share a weight share its time."""
    owners = {layer.name: layer.shares or layer.name for layer in layers}
    sharing = {owner: list(owners.values()).count(owner) for owner in owners.values()}
    rows = []
    for name, owner in owners.items():
        for bits in widths:
            key = timed.keys[owner, bits]
            forms, timing = timed.forms[key], found[key]
            rows.append(
                LayerLatency(
                    layer=name,
                    bits=bits,
                    milliseconds=timing.milliseconds / sharing[owner],
                    spread=timing.spread / sharing[owner],
                    operators="; ".join(form.operators for form in forms),
                    in_integers=all(form.in_integers for form in forms),
                    as_bits=key[1],
                )
            )
    return rows
