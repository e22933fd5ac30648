"""From a real model to rows: statistics, plans of three sizes, quantized networks, the metric."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from benchmarks.real_models.model import RealModel
from benchmarks.real_models.rows import FLOAT, UNIFORM, Row, Rows
from gp_emq.allocation import CostSettings, allocate
from gp_emq.determinism import one_thread
from gp_emq.errors import GpEmqError
from gp_emq.networks import Granularity, float_sizes, size_table
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import quantize
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, collect_statistics, state_sha256

BITS = (2, 3, 4, 5, 6, 8)
AVERAGES = (3, 4, 5)
"""Bits of a weight: of every layer where all have one width, else at most on average."""
PROXIES = ("fit", "gp-gradient")
PLANS = (UNIFORM, *PROXIES)
CELLS = ((FLOAT, 0), *((plan, average) for average in AVERAGES for plan in PLANS))
BATCH = 32


class Study:
    """A model, of which cells are measured.

    Args:
        model: The model.
    """

    def __init__(self, model: RealModel) -> None:
        self._model = model
        workload = model.make()
        self._calibration = workload.part(slice(0, model.calibration))
        self._test = workload.part(slice(model.calibration, None))
        self._granularity = Granularity(per_channel=True, group=model.group)
        settings = [model.calibration, model.method, str(self._granularity), BITS]
        known = (state_sha256(workload.model), workload.samples_sha256(), json.dumps(settings))
        self.origin = hashlib.sha256("".join(known).encode()).hexdigest()
        self._collected: Statistics | None = None
        self._tables: dict[str, SensitivityTable] = {}

    def measure(self, plan: str, average: int) -> Row:
        """Plan, quantize and measure; a fault of the software is what the row then says."""
        metric = self._test.metric
        empty = Row(
            self._model.name, plan, average, self.origin, metric.name, metric.higher_is_better
        )
        with one_thread():
            try:
                return self._filled(empty)
            except GpEmqError as error:
                return replace(empty, fault=str(error))

    def _filled(self, row: Row) -> Row:
        if row.plan == FLOAT:
            size = int(float_sizes(self._statistics.layers, "stored").sum())
            return replace(row, size=size, values=_numbers(self._test.measured(BATCH)))
        widths = self._widths(row.plan, row.average)
        quantized = quantize(
            self._calibration,
            widths,
            method=self._model.method,
            quantizer=WeightQuantizer.of(self._granularity),
        )
        values = _numbers(self._test.of(quantized).measured(BATCH))
        return replace(row, size=self._size(widths), values=values, widths=widths)

    def _widths(self, plan: str, average: int) -> dict[str, int]:
        if plan == UNIFORM:
            return {layer.name: average for layer in self._statistics.layers}
        if plan not in self._tables:
            self._tables[plan] = load_proxy(plan).table(self._statistics)
        settings = CostSettings(accounting="stored", granularity=self._granularity)
        return allocate(self._tables[plan], average_bits=average, settings=settings).widths

    def _size(self, widths: Mapping[str, int]) -> int:
        """Bytes of the layers in a packed file."""
        layers = self._statistics.layers
        table = size_table(layers, BITS, "stored", granularity=self._granularity)
        chosen = {layer.entry: widths[layer.name] for layer in layers}
        return int(sum(table[entry, BITS.index(bits)] for entry, bits in chosen.items()))

    @property
    def _statistics(self) -> Statistics:
        if self._collected is None:
            quantizer = WeightQuantizer.of(self._granularity)
            self._collected = collect_statistics(self._calibration, bits=BITS, quantizer=quantizer)
        return self._collected


def _numbers(values: Tensor) -> list[float]:
    found: list[float] = values.double().tolist()
    return found


def measure(model: RealModel, rows: Rows) -> None:
    """Measure the cells of a model that are not there yet.

    Args:
        model: The model; it is not even made where nothing is missing.
        rows: What is measured, and where it goes.

    Raises:
        GpEmqError: The model cannot be made.
    """
    known = rows.of(model.name, CELLS)
    if len(known) == len(CELLS):
        return
    study = Study(model)
    for plan, average in CELLS:
        row = known.get((plan, average))
        if row is None or row.origin != study.origin:
            sys.stderr.write(f"{model.name}: {plan}{f', {average} bits' if average else ''}\n")
            rows.put(study.measure(plan, average))
