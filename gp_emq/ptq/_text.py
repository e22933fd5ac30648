"""Accuracies of a quantized network, for people and for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gp_emq.allocation import Measures, Plan
from gp_emq.columns import format_columns
from gp_emq.ptq._accuracy import Measured


@dataclass(frozen=True)
class MethodResult:
    """How accurate a network is after quantization by one method.

    Attributes:
        method: Name of the method.
        accuracy: Top-1 accuracy.
        change: Against the float network, over the same images.
        file: Where the network was written.
        measures: What its weights take, which is not what the plan does where a method raises
            widths.
        file_bytes: Size of the file.
    """

    method: str
    accuracy: Measured
    change: Measured
    file: str
    measures: Measures
    file_bytes: int


@dataclass(frozen=True)
class Report:
    """What a command found.

    Attributes:
        network: Name of the network.
        plan: The plan.
        plan_file: Where it is from.
        calibration: Number of calibration images.
        images: Number of test images.
        groups: Number of base images that they show.
        labelled: Whether they have labels.
        floating: Top-1 accuracy of the float network.
        results: One for each method.
        in_float: Weights of the network that stay in float.
        notes: What else the user should know.
        float_bytes: What a file of the float network takes.
    """

    network: str
    plan: Plan
    plan_file: str
    calibration: int
    images: int
    groups: int
    labelled: bool
    floating: Measured
    results: Sequence[MethodResult]
    in_float: Sequence[str] = ()
    notes: Sequence[str] = ()
    float_bytes: int = 0

    def as_json(self) -> str:
        """Write it as one JSON object."""
        document: dict[str, Any] = {
            "network": self.network,
            "plan": {"file": self.plan_file, **asdict(self.plan.measures)},
            "calibration_images": self.calibration,
            "test_images": self.images,
            "base_images": self.groups,
            "labelled": self.labelled,
            "float": asdict(self.floating),
            "float_bytes": self.float_bytes,
            "methods": [asdict(result) for result in self.results],
            "in_float": list(self.in_float),
            "notes": list(self.notes),
        }
        return json.dumps(document, indent=1) + "\n"

    def as_text(self) -> str:
        """Write it as a table."""
        measures = self.plan.measures
        size = (
            f"{measures.average_bits:.3f} bits on average; {measures.size_mib:.4g} MiB, "
            f"{measures.stored_mib:.4g} MiB stored"
        )
        lines = [
            f"{self.network} as {self.plan_file} says",
            size,
            self._images(),
            "",
        ]
        agreement = "top-1" if self.labelled else "agreement"
        head = ["network", agreement, "95 % interval", "change", "95 % interval", "file, KiB"]
        floating = [_percent(self.floating.value), _interval(self.floating)]
        body = [["float", *floating, "", "", _kib(self.float_bytes)]]
        body += [
            [
                result.method,
                _percent(result.accuracy.value),
                _interval(result.accuracy),
                f"{100 * result.change.value:+.2f} %",
                _interval(result.change),
                _kib(result.file_bytes),
            ]
            for result in self.results
        ]
        if any(result.measures != measures for result in self.results):
            # Accuracies of different sizes do not compare: the table shows the sizes then.
            sizes = [result.measures for result in self.results]
            head += ["bits", "MiB"]
            body[0] += ["", ""]
            for row, of in zip(body[1:], sizes, strict=True):
                row += [f"{of.average_bits:.3f}", f"{of.size_mib:.4g}"]
        lines += format_columns(head, body)
        notes = list(self.notes)
        if self.in_float:
            shown = [*self.in_float[:5], *(["..."] if len(self.in_float) > 5 else [])]
            notes.append(f"{len(self.in_float)} weights stay in float: {', '.join(shown)}")
        if notes:
            lines += ["", *(f"note: {note}" for note in notes)]
        return "\n".join(lines) + "\n"

    def _images(self) -> str:
        tests = f"{self.images:,} test images"
        if self.groups != self.images:
            tests += f" ({self.images // self.groups} distortions of {self.groups:,})"
        if not self.labelled:
            tests += " without labels: the float network's answers count as right"
        return f"{tests}; {self.calibration:,} calibration images"


def _kib(size: int) -> str:
    return f"{size / 1024:,.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _interval(measured: Measured) -> str:
    return f"[{100 * measured.low:.2f}, {100 * measured.high:.2f}]"
