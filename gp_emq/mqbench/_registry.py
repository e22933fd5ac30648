"""Benches by name or file."""

from pathlib import Path

from gp_emq.errors import BenchError
from gp_emq.files import did_you_mean, shortened
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._file import read_bench
from gp_emq.mqbench._shipped import BENCH_FOLDER, list_benches


def load_bench(name_or_path: str | Path) -> Bench:
    """Load a bench by name, or from a file.

    Args:
        name_or_path: a name of `list_benches`, or a path to a bench file.

    Raises:
        BenchError: if there is no such bench, or its file is damaged or inconsistent.
    """
    if str(name_or_path) in list_benches():
        return read_bench(BENCH_FOLDER / f"{name_or_path}.safetensors")
    path = Path(name_or_path)
    if path.suffix or _exists(path):
        return read_bench(path)
    name = str(name_or_path)
    raise BenchError(
        f"unknown bench {shortened(name)}: {did_you_mean(name, list_benches(), most=3)}"
        "python -m gp_emq.bench list names those that ship, and a path is that of a bench file"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for one, or with a NUL in it
        return False
