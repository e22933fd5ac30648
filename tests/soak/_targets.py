"""The commands that are killed: small jobs, and what of their results has to be the same."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TIMES = ("seconds", "collect_seconds", "score_seconds", "statistics_seconds", "scoring_seconds")
"""What may differ between two results that are the same."""


@dataclass(frozen=True)
class Target:
    """A command that can be killed and started again.

    Attributes:
        start: Its arguments in a folder, for a back end of the farm.
        resume: The arguments to go on with; None where they are those it was started with.
        results: What of the folder is compared, by name.
        farmed: Whether it has workers, of any back end.
    """

    start: Callable[[Path, str], list[str]]
    results: Callable[[Path], dict[str, bytes]]
    resume: Callable[[Path, str], list[str] | None] = lambda _folder, _backend: None
    farmed: bool = True


def _files(*names: str) -> Callable[[Path], dict[str, bytes]]:
    return lambda folder: {name: (folder / name).read_bytes() for name in names}


def _farm(backend: str) -> list[str]:
    return ["--backend", backend, "--jobs", "2"]


def _run(folder: Path, backend: str) -> list[str]:
    return [
        "gp_emq.run", "--bench", "digits", "--gens", "4", "--pop", "8", "--out",
        str(folder / "run"), "--no-figures", "--quiet", *_farm(backend),
    ]  # fmt: skip


def _resume_run(folder: Path, backend: str) -> list[str] | None:
    if not (folder / "run" / "store.sqlite").exists():
        return None
    return [
        "gp_emq.run", "--resume", str(folder / "run"), "--no-figures", "--quiet", *_farm(backend),
    ]  # fmt: skip


def _run_results(folder: Path) -> dict[str, bytes]:
    from gp_emq.store import RunStore

    results = _files("run/hall_of_fame.json")(folder)
    for name in ("run", "run/random_search"):
        with RunStore.open(folder / name, readonly=True) as store:
            rows = [repr(replace(row, seconds=0.0)) for row in store.individuals()]
            results[name] = "\n".join(rows).encode()
            if name == "run":
                results["summary"] = json.dumps(store.meta("summary"), sort_keys=True).encode()
    return results


def _build(folder: Path, backend: str) -> list[str]:
    return [
        "gp_emq.bench", "build", "--network", "digits", "--protocol", "adaround", "--iterations",
        "5", "--calibration-images", "64", "--test-images", "500", "--configs", "16",
        "--arithmetic", "float", "--out", str(folder / "bench.safetensors"), "--quiet",
        *_farm(backend),
    ]  # fmt: skip


def _quantize(folder: Path, _backend: str) -> list[str]:
    return [
        "gp_emq.quantize", "--plan", str(folder / "plan.json"), "--method", "adaround",
        "--iterations", "20", "--images", "64", "--tests", "400",
    ]  # fmt: skip


def _qat(folder: Path, _backend: str) -> list[str]:
    return [
        "gp_emq.qat", "--plan", str(folder / "plan.json"), "--epochs", "4", "--batch", "64",
        "--images", "64", "--device", "cpu", "--quiet",
    ]  # fmt: skip


def _rank(folder: Path, _backend: str) -> list[str]:
    return ["gp_emq.rank", "--bench", "digits", "--format", "json", "--resamples", "50",
            "--quiet"]  # fmt: skip


def _ranking(folder: Path) -> dict[str, bytes]:
    found = json.loads((folder / "stdout").read_text())
    return {"ranking": json.dumps(_timeless(found), sort_keys=True).encode()}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


TARGETS = {
    "run": Target(_run, _run_results, _resume_run),
    "bench": Target(_build, _files("bench.safetensors")),
    "quantize": Target(_quantize, _files("plan-adaround.safetensors"), farmed=False),
    "qat": Target(
        _qat, _files("plan-qat/quantized.safetensors", "plan-qat/summary.json"), farmed=False
    ),
    "rank": Target(_rank, _ranking, farmed=False),
}


def command_line(arguments: Sequence[str]) -> list[str]:
    """Give the command of a module and its arguments."""
    return [sys.executable, "-m", *arguments]


def write_plan(path: Path) -> None:
    """Write a plan of the digits network, for the commands that take one."""
    from gp_emq.allocation import allocate, save_plan
    from gp_emq.networks import registered_layers

    layers = registered_layers("digits")
    chosen = allocate([[-3.0, -2.0, -1.0]] * len(layers), layers, bits=(2, 3, 4), average_bits=2.5)
    save_plan(replace(chosen, provenance={"network": "digits"}), path)
