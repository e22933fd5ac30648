"""What the command writes at the end: the quantized network, and a summary of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from gp_emq.allocation import Plan
from gp_emq.export import save_quantized
from gp_emq.files import atomic_write_text
from gp_emq.networks import TOP_1, Layer
from gp_emq.qat._settings import QatSettings
from gp_emq.quantization import QuantizedModel

RESULT_NAME = "quantized.safetensors"
SUMMARY_NAME = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What a training gave.

    Attributes:
        network: Name of the network.
        widths: Width of the weight by name of the layer.
        settings: How it was trained.
        planned_bits: Bits per parameter over the quantized layers, as planned.
        average_bits: The same, as trained.
        images: Number of test images, 0 where there are none.
        float_accuracy: Of the float network on them.
        start_accuracy: Of the quantized network before training.
        accuracy: Of the trained network.
        metric: What it is.
    """

    network: str
    widths: Mapping[str, int]
    settings: QatSettings
    planned_bits: float
    average_bits: float
    images: int
    float_accuracy: float | None
    start_accuracy: float | None
    accuracy: float | None
    metric: str = TOP_1.name

    def text(self) -> str:
        """Write it as lines for a reader."""
        layers = f"{self.network}: {len(self.widths)} quantized layers"
        bits = f"{self.average_bits:.3f} bits per parameter"
        if self.average_bits != self.planned_bits:
            raised = f"first and last layer at {self.settings.first_last_bits}"
            bits += f" ({self.planned_bits:.3f} planned; {raised})"
        lines = [f"{layers}, {bits}"]
        for name, accuracy in (
            ("float", self.float_accuracy),
            ("before training", self.start_accuracy),
            ("trained", self.accuracy),
        ):
            if accuracy is not None and self.metric != TOP_1.name:
                lines.append(f"{name:<16}{self.metric} {accuracy:.6g} of {self.images:,} samples")
            elif accuracy is not None:
                lines.append(f"{name:<16}{accuracy:7.2%} of {self.images:,} test images")
        return "\n".join(lines) + "\n"


def average_bits(layers: tuple[Layer, ...], widths: Mapping[str, int]) -> float:
    """Return the bits per parameter over the layers that have a width."""
    counts = {layer.name: layer.parameters for layer in layers if layer.name in widths}
    return sum(widths[name] * count for name, count in counts.items()) / sum(counts.values())


def write_result(
    folder: Path, quantized: QuantizedModel, summary: Summary, plan: Plan | None
) -> None:
    """Write the network, as `save_quantized` does, and its summary; equal ones give equal bytes.

    Args:
        folder: It must exist.
        quantized: The network.
        summary: Of its training.
        plan: The plan that was trained, if there is one.

    Raises:
        RunError: A file cannot be written.
    """
    settings = summary.settings.decisive()
    save_quantized(quantized, folder / RESULT_NAME, method="qat", settings=settings, plan=plan)
    content = asdict(summary) | {"settings": settings}
    text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False)
    atomic_write_text(folder / SUMMARY_NAME, text + "\n")
