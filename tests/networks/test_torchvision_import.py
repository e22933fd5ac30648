import importlib
import subprocess
import sys
from types import ModuleType

import pytest

from gp_emq.errors import NetworkError
from gp_emq.networks import _torchvision


def test_models_import_here():
    assert hasattr(_torchvision.import_torchvision("models"), "resnet18")


class FakeLibrary:
    made = []  # noqa: RUF012 - shared on purpose: every instance reports here

    def __init__(self, *arguments):
        FakeLibrary.made.append(arguments)

    def define(self, schema):
        FakeLibrary.made.append(schema)


@pytest.fixture
def torchvision(monkeypatch):
    """Let imports of torchvision give what a list says, one after another."""
    outcomes = []

    def import_module(name):
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return ModuleType(name)

    FakeLibrary.made.clear()
    monkeypatch.setattr(_torchvision, "_declarations", [])
    monkeypatch.setattr(_torchvision.importlib, "import_module", import_module)
    monkeypatch.setattr(_torchvision.torch.library, "Library", FakeLibrary)
    before = {k: v for k, v in sys.modules.items() if k.partition(".")[0] == "torchvision"}
    yield outcomes
    sys.modules.update(before)


TRAP = RuntimeError("operator torchvision::nms does not exist")


def test_a_healthy_install_is_left_alone(torchvision):
    torchvision.append(None)
    assert _torchvision.import_torchvision("models").__name__ == "torchvision.models"
    assert FakeLibrary.made == []


def test_missing_operators_are_declared_once(torchvision):
    torchvision += [TRAP, None, TRAP, None]
    for _ in range(2):
        _torchvision.import_torchvision("models")
    assert FakeLibrary.made[0] == ("torchvision", "DEF")
    assert [text.partition("(")[0] for text in FakeLibrary.made[1:]] == ["nms", "qnms"]


@pytest.mark.parametrize(
    "outcomes",
    [
        [ImportError("No module named 'torchvision'")],
        [RuntimeError("something else")],
        [TRAP, ImportError("still broken")],
    ],
)
def test_other_failures_give_one_line(torchvision, outcomes):
    torchvision += outcomes
    with pytest.raises(NetworkError, match="torchvision does not import"):
        _torchvision.import_torchvision("models")


@pytest.mark.slow
def test_the_package_imports_without_torchvision_and_a_search_without_scipy():
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from gp_emq.experiment import run\n"
        "assert 'scipy' not in sys.modules\n"
        "from gp_emq.mqbench import load_bench, bench_inputs\n"
        "bench_inputs(load_bench('digits'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_real_import_function_is_back():
    assert _torchvision.importlib.import_module is importlib.import_module
