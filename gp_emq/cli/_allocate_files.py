"""What ``gp_emq allocate`` writes, and where."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gp_emq import allocation, measured
from gp_emq.cli._allocate import AllocateSettings
from gp_emq.files import atomic_write_text

if TYPE_CHECKING:
    from gp_emq.allocation import Plan, Sweep
    from gp_emq.measured import Certificate


def output_files(asked: AllocateSettings) -> list[Path]:
    """Name what will be written beside each other."""
    out = asked.out
    if out is None:
        return []
    figures = [] if asked.no_plot else ["bits.png", "bits.svg"]
    if asked.measuring.wanted:
        figures.append("certificate.json")
    if asked.sweep is not None:
        figures += ["sweep.json"] + ([] if asked.no_plot else ["pareto.png", "pareto.svg"])
    return [out, *(out.with_name(f"{out.stem}-{ending}") for ending in figures)]


def write_plan(out: Path, plan: "Plan | None", front: "Sweep | None") -> None:
    """Write plan and sweep beside each other, and say where."""
    if plan is not None:
        allocation.save_plan(plan, out)
        tell(out)
    if front is not None:
        path = out.with_name(f"{out.stem}-sweep.json")
        allocation.save_sweep(front, path)
        tell(path)


def write_formats(asked: AllocateSettings, plan: "Plan") -> None:
    """Write a plan in the formats of other programs that were asked for."""
    if asked.csv is not None:
        atomic_write_text(asked.csv, allocation.plan_csv(plan))
        tell(asked.csv)
    for path, config in (
        (asked.torchao, allocation.torchao_config),
        (asked.modelopt, allocation.modelopt_config),
    ):
        if path is not None:
            atomic_write_text(path, json.dumps(config(plan), indent=1, ensure_ascii=False) + "\n")
            tell(path)


def write_certificate(certificate: "Certificate", out: Path) -> None:
    """Write what was measured of a plan beside it."""
    path = out.with_name(f"{out.stem}-certificate.json")
    measured.save_certificate(certificate, path)
    tell(path)


def tell(*written: Path) -> None:
    """Say on standard error what was written."""
    for path in written:
        sys.stderr.write(f"wrote {path}\n")
