"""`gp_emq.search`: the engine of `python -m gp_emq.run`, from Python."""

import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from gp_emq.errors import RunError
from gp_emq.evolution import Objective
from gp_emq.experiment._configuration import OWN_OBJECTIVE, Execution, RunConfiguration
from gp_emq.experiment._experiment import carry_out
from gp_emq.experiment._found import Result
from gp_emq.experiment._setting import Setting, load_setting, own_setting
from gp_emq.farm import FarmSettings
from gp_emq.mqbench import Bench, write_bench
from gp_emq.statistics import Statistics
from gp_emq.store import STORE_NAME, RunStore

Benches = str | Path | Bench | Sequence[str | Path | Bench]

_HERE = FarmSettings(jobs=1)


def search(
    objective: Benches | Objective = "digits",
    *,
    statistics: Statistics | Sequence[Statistics] = (),
    primitives: str | Path = "bit_aware",
    generations: int = 100,
    seed: int = 0,
    out: str | Path | None = None,
    farm: FarmSettings = _HERE,
    time_limit: float | None = None,
    random_search: bool = False,
    quiet: bool = True,
    **settings: Any,
) -> Result:
    """Evolve formulas: the same search, to the last bit, as that of `python -m gp_emq.run`.

    Args:
        objective: What to maximise: a bench by its name, its file, or as `load_bench` gives it;
            several of them, for the mean of their Kendall taus; or an object with `networks` and
            `measure`, see `gp_emq.evolution.Objective`.
        statistics: Of the networks of an objective of one's own, collected with `cache=FOLDER`.
        primitives: Name or file of the primitive set.
        generations: After how many generations it ends, the initial population not counted.
        seed: Seed of everything random.
        out: Folder of the run. One that holds the same search goes on where it stopped; None
            keeps nothing but what is returned.
        farm: Workers and devices; by default this process alone. They change no result.
        time_limit: Seconds after which no further generation starts.
        random_search: Whether a random search of equal evaluations follows, for comparison.
        quiet: False shows progress.
        **settings: Anything else that `gp_emq.experiment.RunConfiguration` names, such as
            `population`, `selection`, `max_size`, `seed_proxies`.

    Returns:
        The formulas found; `Result.best` is the recommended one.

    Raises:
        GpEmqError: Something asked for does not exist, does not fit, or cannot be written.

    Examples:
        >>> import gp_emq
        >>> found = gp_emq.search("digits", generations=2, population=10, seed=1)
        >>> found.generations, found.best.training > 0.5
        (2, True)
        >>> from torch import manual_seed, nn, randn
        >>> _ = manual_seed(0)
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
        >>> found.table(network, randn(16, 1, 8, 8), bits=(2, 3, 4)).shape
        (2, 3)
    """
    if generations < 1:
        raise RunError(f"generations must be at least 1, not {generations}")
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing) / "run" if out is None else Path(out)
        execution = Execution(
            folder=folder,
            generations=generations,
            farm=farm,
            time_limit=time_limit,
            random_search=random_search,
            figures=False,
            quiet=quiet,
        )
        given = {"primitives": str(primitives), "seed": seed, **settings}
        setting = _setting(objective, statistics, given, folder)
        _check_same(folder, setting.configuration)
        return carry_out(setting, execution)


def _setting(
    objective: Benches | Objective,
    statistics: Statistics | Sequence[Statistics],
    given: dict[str, Any],
    folder: Path,
) -> Setting:
    networks = (statistics,) if isinstance(statistics, Statistics) else tuple(statistics)
    configuration = _configuration(given)
    if isinstance(objective, str | Path | Bench | Sequence):
        if networks:
            raise RunError("a bench finds its own network: statistics go with an own objective")
        several = (objective,) if isinstance(objective, str | Path | Bench) else tuple(objective)
        if not several:
            raise RunError("a search needs at least one bench")
        first, *more = (_named(one, folder) for one in several)
        return load_setting(replace(configuration, bench=first, more_benches=tuple(more)))
    name = OWN_OBJECTIVE + ", ".join(objective.networks)
    return own_setting(replace(configuration, bench=name), objective, networks)


def _configuration(given: dict[str, Any]) -> RunConfiguration:
    known = {item.name for item in fields(RunConfiguration)} - {"bench", "more_benches"}
    for name in set(given) - known:
        raise RunError(f"a search has no setting {name!r}: known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    return RunConfiguration(**values)


def _named(bench: str | Path | Bench, folder: Path) -> str:
    """Give a name or file that workers can load a bench by; one in memory is written first."""
    if not isinstance(bench, Bench):
        return str(bench)
    path = folder / "benches" / f"{bench.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bench(bench, path)
    return str(path.resolve())


def _check_same(folder: Path, configuration: RunConfiguration) -> None:
    """Refuse to go on with a run that was started with other settings."""
    if not (folder / STORE_NAME).exists():
        return
    with RunStore.open(folder, readonly=True) as store:
        stored = RunConfiguration.from_json(store.meta("config"))
    for item in fields(RunConfiguration):
        before, now = getattr(stored, item.name), getattr(configuration, item.name)
        if before != now:
            raise RunError(
                f"{folder} holds a run with {item.name} {before!r}, not {now!r}; "
                "choose another folder"
            )
