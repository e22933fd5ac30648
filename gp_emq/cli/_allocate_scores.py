"""Where the scores of ``gp_emq allocate`` are from: a network and a proxy, or a saved table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from gp_emq import allocation, export, measured, networks, proxies, ptq, quantization, statistics
from gp_emq._progress import progress_bar, show
from gp_emq.allocation import BASELINES, BITS, WITHOUT_SCORES
from gp_emq.cli._allocate import AllocateSettings
from gp_emq.cli._options import granularity_of
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.measured import CONTENDERS

if TYPE_CHECKING:
    from gp_emq.allocation import CostSettings, ScoredNetwork, Space
    from gp_emq.measured import PlanNetwork
    from gp_emq.networks import Granularity, Inputs, Layer, Workload
    from gp_emq.proxies import Proxy, SensitivityTable
    from gp_emq.quantization.recipes import Recipe
    from gp_emq.statistics import Statistics

V = TypeVar("V")

_LOOKED_AT = 16
"""Samples whose activations are looked at; those of images are all of one shape."""


class Source(Protocol):
    """Gives scores; what is cheap to know is known before anything is computed."""

    @property
    def layers(self) -> "tuple[Layer, ...]":
        """The network's layers in forward order."""

    @property
    def bits(self) -> tuple[int, ...]:
        """The widths of the table's columns, rising."""

    @property
    def chosen(self) -> tuple[int, ...]:
        """The widths that may be chosen where nothing else is said."""

    @property
    def granularity(self) -> "Granularity":
        """What of a weight shares a scale."""

    @property
    def beside_bytes(self) -> int:
        """Bytes of a packed file that belong to no layer."""

    @property
    def activations(self) -> "Mapping[str, tuple[int, int]]":
        """Numbers of each layer's input and output, for one sample."""

    @property
    def remarks(self) -> list[str]:
        """What is odd about the samples, and may yet be meant."""

    def scored(self, *, compared: bool) -> "ScoredNetwork":
        """Give the scores.

        Args:
            compared: Whether plans will be compared with baselines.
        """


def source_of(asked: AllocateSettings) -> Source:
    """Find out where scores come from.

    Raises:
        GpEmqError: There is no such proxy, network or file.
    """
    return FileScores(asked) if asked.table is not None else NetworkScores(asked)


@dataclass(frozen=True)
class FileScores:
    """Scores out of a saved table.

    Attributes:
        asked: The options.
    """

    asked: AllocateSettings

    @cached_property
    def _scored(self) -> "ScoredNetwork":
        assert self.asked.table is not None  # noqa: S101 - that is why this class was chosen
        return allocation.load_table(self.asked.table)

    @property
    def layers(self) -> "tuple[Layer, ...]":
        """The network's layers in forward order."""
        return self._scored.layers

    @property
    def bits(self) -> tuple[int, ...]:
        """The widths of the table's columns."""
        return self._scored.bits

    @property
    def chosen(self) -> tuple[int, ...]:
        """The widths asked for, or all of the table's."""
        return self.asked.bits or self.bits

    @property
    def granularity(self) -> "Granularity":
        """What of a weight shared a scale."""
        return self._scored.granularity

    @property
    def beside_bytes(self) -> int:
        """Bytes of a packed file that belong to no layer.

        Raises:
            AllocationError: The table does not say.
        """
        return self._known(self._scored.beside_bytes, "--size-bytes")

    @property
    def activations(self) -> "Mapping[str, tuple[int, int]]":
        """Numbers of each layer's input and output, for one sample.

        Raises:
            AllocationError: The table does not say.
        """
        return self._known(self._scored.activations, "--activation-kib")

    @property
    def remarks(self) -> list[str]:
        """Nothing: there are no samples."""
        return []

    def _known(self, value: V | None, option: str) -> V:
        if value is None:
            raise AllocationError(
                f"{self.asked.table} does not say what {option} needs: write it with "
                "gp_emq.allocate --save-table"
            )
        return value

    def scored(self, *, compared: bool) -> "ScoredNetwork":
        """Give the scores, with the baselines asked for, or all that the table has.

        Raises:
            AllocationError: The table has no scores of one of them.
        """
        scored = self._scored
        names = self.asked.baselines
        if not compared or names is None:
            return scored
        known: dict[str, SensitivityTable | None] = {**scored.baselines}
        known.update(dict.fromkeys(WITHOUT_SCORES))
        for name in names:
            if name not in known:
                raise AllocationError(
                    f"{self.asked.table} has no scores of the baseline {name!r}: there are "
                    f"{', '.join(sorted(known))}"
                )
        return replace(scored, baselines={name: known[name] for name in names})


@dataclass(frozen=True)
class NetworkScores:
    """Scores of a network by a proxy.

    Attributes:
        asked: The options.
    """

    asked: AllocateSettings

    def __post_init__(self) -> None:
        _ = self.asked_for
        for name in self.asked.baselines or ():
            if name not in WITHOUT_SCORES:
                proxies.loading.load_proxy(name)

    @cached_property
    def asked_for(self) -> "Mapping[str, Proxy]":
        """The proxies asked for, by what they were asked for by, or those that race by default."""
        if not self.asked.proxy:
            return measured.contenders()
        return {
            name: proxies.loading.load_proxy(name, primitives=self.asked.primitives)
            for name in self.asked.proxy
        }

    @cached_property
    def contenders(self) -> "Mapping[str, Proxy]":
        """Those of them whose plans race: where none was asked for, those that take minutes."""
        if self.asked.proxy:
            return self.asked_for
        kept = measured.affordable(
            self.asked_for, self.layers, widths=len(self.bits), samples=self.images
        )
        return {name: self.asked_for[name] for name in kept}

    @cached_property
    def inputs(self) -> "Inputs":
        """The network with the layers that are called, and its samples."""
        return self._loaded.calibrated(self.images, self.asked.seed)

    @cached_property
    def _loaded(self) -> "Inputs":
        asked = self.asked
        return networks.load_inputs(
            asked.network, asked.weights, asked.data, workload=asked.workload
        )

    @cached_property
    def images(self) -> int:
        """Samples that calibrate; of one's own at most half where others must measure."""
        own, asked = self._loaded.own, self.asked
        if own is None or not self._measures:
            return asked.images
        return max(1, min(asked.images, len(own) // 2))

    @property
    def _measures(self) -> bool:
        """Whether plans are measured on the network."""
        return self.asked.races or self.asked.measuring.wanted

    @property
    def remarks(self) -> list[str]:
        """What is odd about samples of one's own, and may yet be meant."""
        own, found = self.inputs.own, [self.inputs.remark]
        if own is not None and (few := min(self.images, len(own))) < self.asked.images:
            found.append(
                f"{few} of {len(own)} samples calibrate, not the {self.asked.images} of --images"
            )
        most = self.asked.measuring.measure_images
        if own is not None and self._measures and self.images + most >= len(own):
            found.append(
                f"all {len(own)} samples calibrate or choose the plan, and quantize has none left "
                "to test on: smaller numbers of --images and --measure-images leave some"
            )
        found += [f"not compared with {names}: {why}" for why, names in self._unknown()]
        return [remark for remark in found if remark]

    @cached_property
    def _failed(self) -> dict[str, str]:
        """Why those of the usual baselines that cannot score the network do not, by their names."""
        return {}

    def _unknown(self) -> list[tuple[str, str]]:
        """Give each reason for which baselines are missing, and their names."""
        whys = dict.fromkeys(self._failed.values())
        named = [(why, [name for name, of in self._failed.items() if of == why]) for why in whys]
        return [(why, ", ".join(names)) for why, names in named]

    @property
    def layers(self) -> "tuple[Layer, ...]":
        """The network's layers in forward order."""
        return self.inputs.network.layers

    @property
    def bits(self) -> tuple[int, ...]:
        """A column for every width that some layer may choose."""
        return tuple(sorted({*self.chosen}.union(*self.asked.choices.values())))

    @property
    def chosen(self) -> tuple[int, ...]:
        """The widths asked for."""
        return self.asked.bits or BITS

    @property
    def granularity(self) -> "Granularity":
        """What of a weight shares a scale."""
        asked = self.asked
        given = granularity_of(per_tensor=asked.per_tensor, scale_group=asked.scale_group)
        return networks.PER_CHANNEL if given is None else given

    @property
    def cache(self) -> Path | None:
        """Folder that keeps what is computed; None keeps nothing."""
        return None if self.asked.no_cache else statistics.default_cache()

    @cached_property
    def beside_bytes(self) -> int:
        """Bytes of a packed file that belong to no layer."""
        return export.bytes_beside(self.inputs.network.model, self.layers)

    @cached_property
    def activations(self) -> "Mapping[str, tuple[int, int]]":
        """Numbers of each layer's input and output, the most among some samples."""
        samples = self._samples.part(slice(0, _LOOKED_AT))
        return networks.activation_elements(samples, self.layers)

    @cached_property
    def _samples(self) -> "Workload":
        return self.inputs.calibration(self.images, self.asked.seed)

    @cached_property
    def _statistics(self) -> "Statistics":
        recipe, quantizer = self._recipe, quantization.WeightQuantizer.of(self.granularity)
        settings = ptq.QuantizationSettings(
            quantizer, self.asked.activation_bits, seed=self.asked.seed
        )
        return statistics.collect_statistics(
            self._samples,
            bits=self.bits,
            quantizer=quantizer,
            layers=self.layers,
            settings=statistics.StatisticsSettings(renormed=recipe.renews_norms),
            rounding=ptq.rounding_of(
                recipe, self._samples, self.layers, settings, cache=self.cache
            ),
            cache=self.cache,
        )

    @property
    def _recipe(self) -> "Recipe":
        """What plans will be quantized by."""
        method = self.asked.measuring.method_for(self.inputs.network.model)
        return quantization.recipes.find_recipe(method)

    @property
    def _baselines(self) -> tuple[str, ...]:
        if self.asked.baselines is not None:
            return self.asked.baselines
        if not self.asked.races:
            return BASELINES
        # Of those that race by default the pairs are too many to be shown.
        named = self.asked.proxy or CONTENDERS
        return ("uniform", *(name for name in self.contenders if name in named))

    def table(self, name: str) -> "SensitivityTable":
        """Compute the scores of one of the contenders."""
        return self.contenders[name].table(self._statistics, cache=self.cache)

    def scored(self, *, compared: bool) -> "ScoredNetwork":
        """Compute the scores of the proxy and, for comparisons, of the baselines."""
        (name,) = self.contenders
        return self.scored_by(name, compared=compared)

    def scored_by(self, winner: str, *, compared: bool) -> "ScoredNetwork":
        """Compute the scores of one of the contenders, with those of the others beside it."""
        network = self.inputs.network
        known = {"network": network.name}
        if network.weights is not None:
            known["weights_sha256"] = networks.file_sha256(network.weights)
        compared_with = [name for name in self._baselines if compared and name != winner]
        with progress_bar("scoring", "proxy") as bar:
            show(bar, 0, 1 + len(compared_with), winner)
            table = self.table(winner)
            baselines = {}
            for done, name in enumerate(compared_with, start=1):
                show(bar, done, 1 + len(compared_with), name)
                try:
                    baselines[name] = self._baseline(name)
                except GpEmqError as error:
                    if self.asked.baselines is not None:
                        raise
                    self._failed[name] = str(error)
        scored = allocation.ScoredNetwork(
            table=table, granularity=self.granularity, seed=self.asked.seed, provenance=known
        )
        if not compared:
            return scored
        kept = allocation.kept_in_float(self._samples, network.layers)
        scored = replace(scored, baselines=baselines, kept_in_float=kept)
        if self.asked.save_table is None:
            return scored
        return replace(scored, beside_bytes=self.beside_bytes, activations=self.activations)

    def _baseline(self, name: str) -> "SensitivityTable | None":
        if name in WITHOUT_SCORES:
            return None
        if name in self.contenders:
            return self.table(name)
        return proxies.loading.load_proxy(name).table(self._statistics, cache=self.cache)

    def plan_network(self, space: "Space", settings: "CostSettings") -> "PlanNetwork":
        """Prepare the network to take on plans, which are measured."""
        asked = self.asked
        return measured.plan_network(
            space, self.inputs, asked.measuring, settings,
            images=self.images, seed=asked.seed, cache=self.cache,
        )  # fmt: skip
