"""What several packages' tests share; the helpers beside this file are imported by name."""

import gc
import os
import sys
from functools import cache, wraps

import hypothesis
import pytest

from gp_emq.store._database import SYNCHRONOUS

FSYNC = os.fsync

# What is compiled is kept, whatever the shell asks for: a hundred processes import the package.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Hypothesis runs the same examples every time: a failure is then a change, never a draw.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")


# What is imported and collected stays to the end: nobody need look through it for garbage.
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _the_disk_is_not_waited_for():
    """What is written reaches the operating system, which a killed process does not take along."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        patch.setattr("gp_emq.store._database.SYNCHRONOUS", "OFF")
        yield


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch):
    """In this test the disk is waited for."""
    monkeypatch.setattr(os, "fsync", FSYNC)
    monkeypatch.setattr("gp_emq.store._database.SYNCHRONOUS", SYNCHRONOUS)


@pytest.fixture(scope="session", autouse=True)
def _statistics_cache(tmp_path_factory: pytest.TempPathFactory):
    """Statistics that commands collect go to a folder that all processes of the session share."""
    before = os.environ.get("GP_EMQ_CACHE")
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of the session: each worker has one in it
    os.environ["GP_EMQ_CACHE"] = str(folder / "statistics")
    yield
    if before is None:
        del os.environ["GP_EMQ_CACHE"]
    else:
        os.environ["GP_EMQ_CACHE"] = before


@pytest.fixture(autouse=True)
def _one_table_of_operators():
    """Exports to ONNX share the tables of operators, which torch makes anew every time."""
    yield
    utilities = sys.modules.get("torch._export.utils")
    if utilities is not None and not hasattr(utilities._materialize_cpp_cia_ops, "__wrapped__"):
        utilities._materialize_cpp_cia_ops = cache(utilities._materialize_cpp_cia_ops)
    # Loaded by the first export, if this test had it.
    module = sys.modules.get("torch.onnx._internal.exporter._registration")
    registry = getattr(module, "ONNXRegistry", None)
    if registry is None or hasattr(registry.from_torchlib, "__wrapped__"):
        return
    made = cache(registry.from_torchlib)

    @wraps(registry.from_torchlib)
    def from_torchlib(**options: int) -> object:
        whole, copied = made(**options), registry()
        vars(copied).update(vars(whole))
        copied.functions = {name: list(found) for name, found in whole.functions.items()}
        return copied

    registry.from_torchlib = staticmethod(from_torchlib)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory):
    """A bench of four entries, and the statistics of its network; see `tiny_bench`."""
    from tiny_bench import make_tiny

    return make_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def write_set(tmp_path_factory: pytest.TempPathFactory):
    """Write a primitive set of one's own, given what its constructor takes, and give its path."""

    def write(**arguments: object) -> str:
        path = tmp_path_factory.mktemp("sets") / "own.py"
        path.write_text(
            "from primitives import PrimitiveSet\n\n"
            f"def build():\n    return PrimitiveSet('own', 'a set of its own', **{arguments!r})\n"
        )
        return str(path)

    return write
