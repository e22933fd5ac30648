"""What defines a run, and what merely says how it is carried out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gp_emq.errors import RunError
from gp_emq.farm import FarmSettings
from gp_emq.files import check_document, shortened
from gp_emq.proxies import DEFAULT_MEMORY

OWN_OBJECTIVE = "an objective of one's own on "
"""How the bench of a run begins that was searched for no bench, but from Python."""

MEASURED_PLANS = "measured-plans"
FITNESSES = ("tau", "equal-cost", "plans", MEASURED_PLANS)
"""What a search maximises on a bench: Kendall tau over all pairs of configurations; over those of
about the same size alone; the mean of that and of what a formula picks from configurations of each
size; the mean of that tau and of what plans are worth that are made and measured."""

WITHOUT_A_BENCH: Mapping[str, Any] = MappingProxyType(
    {
        "bench": "plain-digits-rtn-channel",
        "more_benches": (
            "bottleneck-digits-rtn-bn-channel",
            "separable-digits-rtn-bn-channel",
            "narrow-digits-rtn-bn-channel",
        ),
        "validate_on": (
            "mixer-digits-rtn-channel",
            "gated-digits-rtn-channel",
            "attentive-digits-rtn-bn-channel",
        ),
        "primitives": "measured_invariant",
        "fitness": "equal-cost",
        "max_size": 12,
    }
)
"""What the command searches for where no bench is named, by fields of the configuration: formulas
for networks that it has not seen. What one network finds is seldom any good elsewhere; so four
kinds of small networks make the fitness and three others choose, none of them held out."""

_MOST = 10**9


@dataclass(frozen=True, kw_only=True)
class RunConfiguration:
    """What the result of a run depends on; stored with it and fixed when it is resumed.

    Args:
        bench: Name or file of the bench.
        primitives: Name or file of the primitive set.
        selection: Name of the selection.
        population: Members of the population.
        seed: Seed of everything random.
        bench_samples: Training configurations per fitness; None for all.
        max_depth: Most levels of a tree below its root.
        max_size: Most nodes of a tree.
        crossover: Share of offspring made by crossover; the rest are mutations.
        screening: Whether individuals are screened before their fitness is computed.
        prioritisation: Whether operators that keep failing the screen are drawn less often.
        seed_proxies: Expressions, or names of proxies, that enter the first generation;
            ``all`` for every hand-crafted formula that the primitive set can express.
        weights: File of the network's weights, for benches that do not bring their own.
        data: Files or folders of the network's images, likewise.
        network: `package.module:factory` of the bench's network, where it is one's own.
        more_benches: Those of further benches: the search then maximises the mean of all.
        fitness: What is maximised, one of `FITNESSES`.
        workload: `package.module:function` of what the bench was measured of, where that is one's
            own; instead of a network and data.
        validate_on: Names or files of benches of other networks, which choose among the formulas
            found; empty where the search's own validation configurations do.
        islands: Into how many islands the population is divided.
        migration_every: Generations between two migrations.
        fit_constants: Whether constants are fitted to the best formulas at the end, and taken where
            they pay on the validation networks.
        spare_plans: Whether plans are measured bench by bench, cheap ones first, and no further
            than a formula may win by them; for the fitness `measured-plans`.

    Raises:
        RunError: A number is out of its range, or several benches are to share the files of one.
    """

    bench: str = "digits"
    primitives: str = "bit_aware"
    selection: str = "diversity"
    population: int = 60
    seed: int = 0
    bench_samples: int | None = None
    max_depth: int = 8
    max_size: int = 30
    crossover: float = 0.5
    screening: bool = True
    prioritisation: bool = True
    seed_proxies: tuple[str, ...] = ()
    weights: str | None = None
    data: tuple[str, ...] = ()
    network: str | None = None
    more_benches: tuple[str, ...] = ()
    fitness: str = "tau"
    validate_on: tuple[str, ...] = ()
    workload: str | None = None
    islands: int = 1
    migration_every: int = 10
    fit_constants: bool = False
    spare_plans: bool = False

    def __post_init__(self) -> None:
        if self.workload and (self.weights or self.data or self.network):
            raise RunError("a workload brings its network, weights and data along: give it alone")
        if self.more_benches and (self.weights or self.data or self.network or self.workload):
            raise RunError(
                "weights, data, network and workload belong to one bench; several benches must "
                "bring their own, or find them through GP_EMQ_DATA"
            )
        if self.fit_constants and not self.validate_on:
            raise RunError(
                "constants are taken where they pay on networks that the search has not seen: "
                "--fit-constants needs --validate-on with benches of two networks at least"
            )
        if self.fitness not in FITNESSES:
            raise RunError(
                f"fitness cannot be {shortened(self.fitness)}: it is one of {', '.join(FITNESSES)}"
            )
        if self.spare_plans and self.fitness != MEASURED_PLANS:
            raise RunError(
                f"--spare-plans is for --fitness {MEASURED_PLANS}: with {self.fitness} there are "
                "no plans to spare"
            )
        samples = self.bench_samples
        for name, right in (
            ("population", 1 <= self.population <= _MOST),
            ("bench_samples", samples is None or 1 <= samples <= _MOST),
            ("islands", 1 <= self.islands <= _MOST),
            ("migration_every", 1 <= self.migration_every <= _MOST),
            ("max_depth", 1 <= self.max_depth <= _MOST),
            ("max_size", 1 <= self.max_size <= _MOST),
            ("crossover", 0 <= self.crossover <= 1),
        ):
            if not right:
                raise RunError(
                    f"{name.replace('_', ' ')} cannot be {shortened(getattr(self, name))}"
                )
        if self.islands > 1 and self.population < 2 * self.islands:
            raise RunError(
                f"{self.islands} islands need a population of {2 * self.islands} at least, not "
                f"{self.population}: two for each"
            )

    @property
    def benches(self) -> tuple[str, ...]:
        """Names or files of all benches."""
        return (self.bench, *self.more_benches)

    def to_json(self) -> dict[str, Any]:
        """Give the configuration as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "RunConfiguration":
        """Read a configuration that `to_json` gave.

        Raises:
            RunError: Something is missing, unknown or of another kind.
        """
        # A run that was started before there were these says nothing of them.
        later = {"network", "more_benches", "fitness", "validate_on", "workload", "islands",
                 "migration_every", "fit_constants", "spare_plans"}  # fmt: skip
        names = {item.name for item in fields(cls)} - later
        if not isinstance(values, dict) or set(values) - later != names:
            raise RunError("the run's stored configuration is damaged or of another version")
        return check_document(values, cls, RunError, "the run's stored configuration")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is carried out; nothing of it changes the result, but for where it stops.

    Args:
        folder: Where the run lies.
        generations: After how many generations it ends.
        evaluations: After exactly how many evaluated individuals it ends; None for no limit.
        farm: Workers and devices that tables are computed on.
        memory: MiB of whole tensors that each worker may keep beside the statistics.
        time_limit: Seconds after which no further generation starts; None for no limit.
        random_search: Whether a random search of equal evaluations follows, for comparison.
        figures: Whether the plots and the report are drawn at the end.
        quiet: Whether to show neither progress nor summary.
    """

    folder: Path
    generations: int = 100
    evaluations: int | None = None
    farm: FarmSettings = field(default_factory=FarmSettings)
    memory: int = DEFAULT_MEMORY // 2**20
    time_limit: float | None = None
    random_search: bool = True
    figures: bool = True
    quiet: bool = False
