"""From a real model to rows: statistics, plans of three sizes, quantized networks, the metric."""

import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property

from torch import Tensor

from benchmarks.real_models.model import RealModel
from benchmarks.real_models.rows import FLOAT, RACED, UNIFORM, Row, Rows
from gp_emq.allocation import Configuration, CostSettings, Space, allocate, search_space
from gp_emq.determinism import one_thread
from gp_emq.errors import GpEmqError
from gp_emq.measured import PlanNetwork, affordable, contenders
from gp_emq.measured._network import MeasuringSettings
from gp_emq.measured._race import SHARES, race
from gp_emq.networks import Granularity, float_sizes, size_table
from gp_emq.proxies import Proxy, SensitivityTable
from gp_emq.proxies.loading import load_proxy
from gp_emq.ptq import QuantizationSettings, quantize
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import Statistics, collect_statistics, state_sha256

BITS = (2, 3, 4, 5, 6, 8)
AVERAGES = (3, 4, 5)
"""Bits of a weight: of every layer where all have one width, else at most on average."""
PROXIES = ("fit", "gp-gradient")
PLANS = (UNIFORM, *PROXIES, RACED)
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
        raced = model.calibration + model.held_back
        self._calibration = workload.part(slice(0, model.calibration))
        self._held_back = workload.part(slice(model.calibration, raced))
        self._test = workload.part(slice(raced, None))
        self._granularity = Granularity(per_channel=True, group=model.group)
        self._quantizer = WeightQuantizer.of(self._granularity)
        settings = [model.calibration, model.held_back, model.method, str(self._granularity), BITS]
        known = (state_sha256(workload.model), workload.samples_sha256(), json.dumps(settings))
        self.origin = hashlib.sha256("".join(known).encode()).hexdigest()
        self._tables: dict[str, SensitivityTable] = {}

    def measure(self, plan: str, average: int) -> Row:
        """Plan, quantize and measure; a fault of the software is what the row then says."""
        metric = self._test.metric
        empty = Row(
            self._model.name,
            plan,
            average,
            self.origin,
            metric.name,
            metric.higher_is_better,
            contenders=_raced_by(plan),
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
        planned_by = self._winner(row.average) if row.plan == RACED else row.plan
        plan = self._planned(planned_by, row.average)
        widths = {layer.name: plan[layer.entry] for layer in self._statistics.layers}
        quantized = quantize(
            self._calibration, widths, method=self._model.method, quantizer=self._quantizer
        )
        values = _numbers(self._test.of(quantized).measured(BATCH))
        return replace(
            row, size=self._size(plan), values=values, widths=widths, planned_by=planned_by
        )

    def _planned(self, by: str, average: int) -> Configuration:
        if by == UNIFORM:
            return (average,) * len(self._space.widths)
        if by not in self._tables:
            proxy = racing()[by] if by in racing() else load_proxy(by)
            self._tables[by] = proxy.table(self._statistics)
        settings = CostSettings(accounting="stored", granularity=self._granularity)
        return allocate(self._tables[by], average_bits=average, settings=settings).configuration

    def _winner(self, average: int) -> str:
        """Let the plans of all proxies race, and one width with them; the first of equal ones."""
        plans = {self._planned(UNIFORM, average): UNIFORM}
        for name in self._contenders:
            with suppress(GpEmqError):  # one that cannot score the network stays out
                plans.setdefault(self._planned(name, average), name)
        found = race(self._raced, list(plans), self._raced.count, SHARES[1:])
        return plans[next(iter(found))]

    @cached_property
    def _contenders(self) -> tuple[str, ...]:
        layers, samples = self._statistics.layers, self._model.calibration
        return affordable(racing(), layers, widths=len(BITS), samples=samples)

    @cached_property
    def _raced(self) -> PlanNetwork:
        settings = QuantizationSettings(self._quantizer)
        return PlanNetwork(
            self._calibration,
            self._held_back,
            self._space,
            MeasuringSettings(self._model.method, quantization=settings),
        )

    @cached_property
    def _space(self) -> Space:
        return search_space(self._statistics.layers, BITS)

    def _size(self, plan: Configuration) -> int:
        """Bytes of the layers in a packed file."""
        layers = self._statistics.layers
        table = size_table(layers, BITS, "stored", granularity=self._granularity)
        return int(sum(table[entry, BITS.index(bits)] for entry, bits in enumerate(plan)))

    @cached_property
    def _statistics(self) -> Statistics:
        return collect_statistics(self._calibration, bits=BITS, quantizer=self._quantizer)


@cache
def racing() -> dict[str, Proxy]:
    """Give the proxies whose plans race, by name: those of `gp_emq.allocate`."""
    return contenders()


@cache
def racing_sha256() -> str:
    """Hash the names and formulas of those, so that cells of other races are told from theirs."""
    formulas = [f"{name}={proxy.expression or proxy.formula}" for name, proxy in racing().items()]
    return hashlib.sha256("\n".join(formulas).encode()).hexdigest()


def _numbers(values: Tensor) -> list[float]:
    found: list[float] = values.double().tolist()
    return found


def _raced_by(plan: str) -> str:
    return racing_sha256() if plan == RACED else ""


def measure(model: RealModel, rows: Rows) -> None:
    """Measure the cells of a model that are not there yet.

    Args:
        model: The model; it is not even made where nothing is missing.
        rows: What is measured, and where it goes.

    Raises:
        GpEmqError: The model cannot be made.
    """
    known = {
        cell: row
        for cell, row in rows.of(model.name, CELLS).items()
        if row.contenders == _raced_by(row.plan)
    }
    if len(known) == len(CELLS):
        return
    study = Study(model)
    for plan, average in CELLS:
        row = known.get((plan, average))
        if row is None or row.origin != study.origin:
            sys.stderr.write(f"{model.name}: {plan}{f', {average} bits' if average else ''}\n")
            rows.put(study.measure(plan, average))
