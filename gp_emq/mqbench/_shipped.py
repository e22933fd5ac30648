"""Which benches ship with the package."""

from pathlib import Path

BENCH_FOLDER = Path(__file__).parent / "data"


def list_benches() -> tuple[str, ...]:
    """Return the names of the benches that ship with the package, sorted."""
    return tuple(sorted(path.stem for path in BENCH_FOLDER.glob("*.safetensors")))
