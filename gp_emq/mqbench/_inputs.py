"""What a bench's statistics are collected on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gp_emq.errors import BenchError
from gp_emq.files import code_sha256
from gp_emq.mqbench._bench import Bench, check_layers
from gp_emq.mqbench._origin import check_sources, origin_of
from gp_emq.mqbench._protocol import Protocol
from gp_emq.mqbench._task import protocol_task
from gp_emq.networks import (
    OWN_ARRAYS,
    OWN_WORKLOAD,
    RESIZED,
    Network,
    Workload,
    file_sha256,
    load_inputs,
    unwrapped,
)
from gp_emq.quantization import LearnedRoundings, WeightQuantizer
from gp_emq.quantization.recipes import Task, find_recipe, learned_rounding
from gp_emq.statistics import (
    Rounding,
    Statistics,
    StatisticsSettings,
    collect_statistics,
    network_sha256,
)


@dataclass(frozen=True)
class BenchInputs:
    """A bench's network with the images and the quantizer of its protocol.

    Attributes:
        network: the float network whose configurations were measured.
        calibration: the network with the calibration batch of the protocol.
        quantizer: how the protocol quantizes weights.
        renormed: whether the protocol makes up for what rounding does to a channel's scale and
            shift; see `StatisticsSettings`.
        protocol: how the bench was measured; `None` for to the nearest.
        seed: of the bench's draws.
    """

    network: Network
    calibration: Workload
    quantizer: WeightQuantizer
    renormed: bool
    protocol: Protocol | None = None
    seed: int = 0

    def statistics(
        self,
        bits: Sequence[int],
        *,
        cache: Path | None,
        calibration: Workload | None = None,
        seed: int = 0,
    ) -> Statistics:
        """Prepare the statistics of the network; each is computed when it is asked for.

        Args:
            bits: the bit choices.
            cache: folder that keeps them, and learned roundings; `None` keeps nothing.
            calibration: the samples to collect them on; by default those of the protocol.
            seed: of their probes.
        """
        return collect_statistics(
            self.calibration if calibration is None else calibration,
            bits=bits,
            quantizer=self.quantizer,
            layers=self.network.layers,
            settings=StatisticsSettings(renormed=self.renormed, seed=seed),
            rounding=self._rounding(cache),
            cache=cache,
        )

    def _rounding(self, cache: Path | None) -> Rounding | None:
        """Give how the protocol rounds weights, where that is learned layer by layer."""
        if self.protocol is None or not find_recipe(self.protocol.recipe).learns_layers:
            return None
        protocol, recipe = self.protocol, find_recipe(self.protocol.recipe)
        document = {
            "code": code_sha256("gp_emq.mqbench._task", *recipe.rounding_modules),
            "state": network_sha256(unwrapped(self.network.model)),
            "samples": self.calibration.samples_sha256(),
            "protocol": protocol.settings(),
            "seed": self.seed,
        }
        identity = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        folder = None if cache is None else cache / "roundings" / identity[:32]

        def task() -> Task:
            return protocol_task(
                self.calibration,
                self.network.layers,
                protocol,
                self.seed,
                LearnedRoundings(folder if self.calibration.is_default else None),
            )

        return learned_rounding(recipe, task, identity)


def bench_inputs(
    bench: Bench,
    weights: Path | None = None,
    data: Sequence[Path] | Path | None = None,
    network: str | None = None,
    workload: str | Workload | None = None,
) -> BenchInputs:
    """Load the network of a bench and the calibration batch that it was built with.

    Args:
        bench: the bench.
        weights: file of the weights; by default where `load_network` finds them.
        data: files and folders of images; by default those that `GP_EMQ_DATA` leads to.
        network: as `load_network` takes it; by default the bench's, which must be registered:
            no file names code that runs.
        workload: instead of a network and data, what the bench was measured of; see
            `load_inputs`.

    Raises:
        BenchError: if the weights, or samples of one's own, are not those of the bench, or the
            bench was imported and does not say what it was measured with.
        GpEmqError: if network, weights or images are missing or do not fit.
    """
    made = origin_of(bench)
    if made is None:
        raise BenchError(
            f"bench {bench.name} was imported: it does not say how its weights were quantized"
        )
    source = bench.provenance.get("data_set")
    paths = [data] if isinstance(data, Path) else list(data or ())
    check_sources(bench, network=network, data=paths, workload=workload)
    name = bench.network if network is None and workload is None else network
    inputs = load_inputs(name, weights, paths, workload=workload)
    loaded = inputs.network
    expected = made.weights_sha256
    if loaded.weights is not None and expected not in (None, file_sha256(loaded.weights)):
        raise BenchError(
            f"{loaded.weights} holds other weights than bench {bench.name} was measured with "
            f"(sha256 {expected})"
        )
    check_layers(bench, loaded.layers, loaded.name)
    if inputs.data_set == "imagenet" and "format" not in bench.provenance["protocol"]:
        # Benches of before were measured on images that had been resized, and kept their pixels.
        inputs = replace(inputs, data_set=RESIZED)
    count = made.protocol.calibration_images
    recipe = find_recipe(made.protocol.recipe)
    how = recipe.renews_norms, Protocol.from_settings(bench.provenance["protocol"]), made.seed
    if source not in (OWN_ARRAYS, OWN_WORKLOAD):
        return BenchInputs(
            loaded, inputs.calibration(count, made.seed), made.protocol.weights, *how
        )
    batch = inputs.divided(count, None, made.seed).calibration
    if batch.samples_sha256() != bench.provenance.get("calibration_sha256"):
        given = inputs.data[0] if inputs.data else loaded.name
        raise BenchError(f"{given} holds other samples than bench {bench.name} was measured on")
    return BenchInputs(loaded, batch, made.protocol.weights, *how)
