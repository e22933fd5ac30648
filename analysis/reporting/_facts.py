"""What was run: settings, benches, provenance, and the command that does it again."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from analysis._run_data import TEST, TRAINING, VALIDATION
from analysis.reporting._source import RunSource
from analysis.reporting._times import times_of
from gp_emq.experiment import RunConfiguration

_FLAGS = {
    "primitives": "--primitives", "selection": "--selection", "population": "--pop",
    "fitness": "--fitness", "seed": "--seed", "bench_samples": "--bench-samples",
    "max_depth": "--max-depth", "max_size": "--max-size", "crossover": "--crossover",
    "islands": "--islands", "migration_every": "--migration-every",
    "weights": "--weights", "network": "--network", "workload": "--workload",
}  # fmt: skip
_LISTS = {"data": "--data", "seed_proxies": "--seed-proxies", "validate_on": "--validate-on"}
_SWITCHES = {
    "screening": (False, "--no-screening"),
    "prioritisation": (False, "--no-prioritisation"),
    "fit_constants": (True, "--fit-constants"),
    "spare_plans": (True, "--spare-plans"),
}


def facts_of(run: RunSource) -> list[tuple[str, str]]:
    """What was run, as names and values."""
    config, last = run.config, run.search.generations[-1]
    state = "" if run.summary else "; not finished"
    facts = [("Searched on", " + ".join(run.networks))]
    facts += [(f"Bench {bench.name}", _bench(run, bench.place)) for bench in run.benches]
    facts += [
        ("Maximised", run.fitness),
        ("Primitive set", str(config.get("primitives", "not said"))),
        ("Search", _search(config)),
        ("Ran", f"{last.generation} generations, {last.evaluations:,} evaluations{state}"),
        *((f"Time: {name.lower()}", text) for name, text in times_of(run)),
    ]  # fmt: skip
    if config.get("validate_on"):
        facts.append(("Chosen by", "validation networks: " + ", ".join(config["validate_on"])))
    if changed := changed_settings(run):
        facts.append(("Other settings", ", ".join(f"{k} {v}" for k, v in changed.items())))
    if "created" in run.meta:
        facts.append(("Begun", str(run.meta["created"])))
    if command := command_of(run):
        facts.append(("To run it again", command))
    return facts


def _search(config: Mapping[str, Any]) -> str:
    names = ("selection", "population", "seed")
    return ", ".join(f"{name} {config.get(name, 'not said')}" for name in names)


def _bench(run: RunSource, place: int) -> str:
    bench = run.benches[place]
    about = run.meta.get("bench" if place == 0 else f"bench {place}", {})
    parts = [
        f"{len(bench.part(part))} {name}"
        for name, part in (("training", TRAINING), ("validation", VALIDATION), ("test", TEST))
    ]
    widths = ", ".join(map(str, bench.bits))
    text = f"{', '.join(parts)} configurations of {bench.configurations.shape[1]} entries at "
    text += f"{widths} bits"
    about = about if isinstance(about, Mapping) else {}
    for name in ("network", "protocol"):
        if about.get(name) is not None:
            text += f"; {name} {about[name]}"
    return f"{text}; {about['images']:,} test images" if about.get("images") else text


def changed_settings(run: RunSource) -> dict[str, Any]:
    """Settings of a run that are neither the usual ones nor told of elsewhere."""
    usual = RunConfiguration().to_json()
    told = {"bench", "more_benches", "primitives", "selection", "population", "seed", "fitness",
            "validate_on"}  # fmt: skip
    return {
        name.replace("_", " "): value
        for name, value in run.config.items()
        if name not in told and name in usual and not _same(value, usual[name])
    }


def differing_settings(runs: Sequence[RunSource]) -> dict[str, list[str]]:
    """The settings that are not the same in all runs, by name, a value for each run."""
    names = sorted({name for run in runs for name in run.config})
    found: dict[str, list[str]] = {}
    for name in names:
        values = [_value(run.config.get(name)) for run in runs]
        if len(set(values)) > 1:
            found[name.replace("_", " ")] = values
    return found


def command_of(run: RunSource) -> str:
    """Write the command that starts the same run; empty where the store does not say."""
    config = run.config
    usual = RunConfiguration().to_json()
    if not run.benches or set(config) - set(usual):
        return ""
    words = ["python", "-m", "gp_emq.run", "--bench", str(config.get("bench", ""))]
    words += [str(name) for name in config.get("more_benches", ())]
    for name, flag in _FLAGS.items():
        if name in config and not _same(config[name], usual[name]):
            words += [flag, str(config[name])]
    for name, flag in _LISTS.items():
        if config.get(name):
            words += [flag, *map(str, config[name])]
    words += [flag for name, (value, flag) in _SWITCHES.items() if config.get(name) is value]
    words += ["--gens", str(run.search.generations[-1].generation)]
    return shlex.join(words)


def provenance_of(run: RunSource) -> list[tuple[str, str]]:
    """What else the store says of a run, as names and JSON."""
    whole = {"config": run.config, **run.meta}
    return [(name, json.dumps(value, ensure_ascii=False)) for name, value in whole.items()]


def _same(value: object, usual: object) -> bool:
    return _value(value) == _value(usual)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
