"""Accuracies of a quantized network, for people and for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gp_emq.allocation import Measures, Plan, told_reasons
from gp_emq.columns import format_columns
from gp_emq.networks import TOP_1
from gp_emq.ptq._accuracy import Measured


@dataclass(frozen=True)
class MethodResult:
    """How accurate a network is after quantization by one method.

    Attributes:
        method: Name of the method.
        accuracy: The metric: by default top-1 accuracy.
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
        images: Number of test images, or other samples.
        groups: Number of base images that they show.
        labelled: Whether they have labels.
        floating: The metric of the float network.
        results: One for each method.
        in_float: Weights of the network that stay in float, with the reason of each.
        notes: What else the user should know.
        float_bytes: What a file of the float network takes.
        metric: Name of the metric.
        higher_is_better: Its direction.
        sample: What a sample is called.
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
    in_float: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    float_bytes: int = 0
    metric: str = TOP_1.name
    higher_is_better: bool = TOP_1.higher_is_better
    sample: str = "image"

    def as_json(self) -> str:
        """Write it as one JSON object."""
        document: dict[str, Any] = {
            "network": self.network,
            "plan": {"file": self.plan_file, **asdict(self.plan.measures)},
            "calibration_images": self.calibration,
            "test_images": self.images,
            "base_images": self.groups,
            "labelled": self.labelled,
            "metric": self.metric,
            "higher_is_better": self.higher_is_better,
            "float": asdict(self.floating),
            "float_bytes": self.float_bytes,
            "methods": [asdict(result) for result in self.results],
            "in_float": list(self.in_float),
            **({"in_float_reasons": dict(self.in_float)} if self.in_float else {}),
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
        is_share = self.metric == TOP_1.name
        name = "agreement" if is_share and not self.labelled else self.metric
        head = ["network", name, "95 % interval", "change", "95 % interval", "file, KiB"]
        floating = [shown(self.floating.value, is_share), _interval(self.floating, is_share)]
        body = [["float", *floating, "", "", _kib(self.float_bytes)]]
        body += [
            [
                result.method,
                shown(result.accuracy.value, is_share),
                _interval(result.accuracy, is_share),
                shown(result.change.value, is_share, "+"),
                _interval(result.change, is_share),
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
        if not self.higher_is_better:
            notes.insert(0, f"the lower the {self.metric}, the better")
        if self.in_float:
            told = told_reasons(self.in_float)
            many = len(self.in_float)
            notes.append(f"{many} weight{'s stay' if many > 1 else ' stays'} in float: {told}")
        if notes:
            lines += ["", *(f"note: {note}" for note in notes)]
        return "\n".join(lines) + "\n"

    def _images(self) -> str:
        tests = f"{self.images:,} test {self.sample}s"
        if self.groups != self.images:
            tests += f" ({self.images // self.groups} distortions of {self.groups:,})"
        if not self.labelled:
            tests += " without labels: the float network's answers count as right"
        return f"{tests}; {self.calibration:,} calibration {self.sample}s"


def _kib(size: int) -> str:
    return f"{size / 1024:,.1f}"


def shown(value: float, is_share: bool, sign: str = "") -> str:
    """Write a metric, or a difference of two: a share in percent."""
    return f"{100 * value:{sign}.2f} %" if is_share else f"{value:{sign}.4g}"


def _interval(measured: Measured, is_share: bool) -> str:
    if measured.low is None or measured.high is None:
        return ""
    ends = (measured.low, measured.high)
    return "[" + ", ".join(f"{100 * e:.2f}" if is_share else f"{e:.4g}" for e in ends) + "]"
