"""What is exchanged with peers; what they plan is theirs."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import plan
from benchmarks.peers.__main__ import PEERS, Task, our_plans
from benchmarks.peers.plan import answer
from gp_emq.networks import load_inputs

NAMES = [layer.name for layer in load_inputs("digits").network.layers]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    request = {
        "peer": "fake", "network": "digits", "bits": [2, 4], "averages": [2.5, 3.5], "batch": 2,
    }  # fmt: skip
    (tmp_path / "request.json").write_text(json.dumps(request))
    np.savez(tmp_path / "images.npz", x=np.ones((5, 1, 8, 8), np.float32), y=np.arange(5))
    return tmp_path


def test_a_peer_is_given_batches_and_its_plans_come_back(folder, monkeypatch) -> None:
    given = []

    def planner(network, batches, bits, average) -> dict[str, int]:
        given.append((len(network.layers), [len(part) for part, _ in batches], bits, average))
        return dict.fromkeys(NAMES, 2)

    monkeypatch.setitem(PEERS, "fake", ("numpy", "numpy", planner))
    found = answer(folder)
    assert given == [(14, [2, 2, 1], [2, 4], 2.5), (14, [2, 2, 1], [2, 4], 3.5)]
    assert found["version"] == np.__version__
    assert [made["average"] for made in found["plans"]] == [2.5, 3.5]
    assert all(made["widths"] == dict.fromkeys(NAMES, 2) for made in found["plans"])
    assert "error" not in found


def test_what_a_peer_complains_of_is_kept_with_the_plans_before(folder, monkeypatch) -> None:
    def planner(_network, _batches, _bits, average) -> dict[str, int]:
        if average > 3:
            raise ValueError("no\nplan")
        return {}

    monkeypatch.setitem(PEERS, "fake", ("numpy", "numpy", planner))
    found = answer(folder)
    assert len(found["plans"]) == 1
    assert found["error"] == "ValueError: no plan"
    monkeypatch.setitem(plan.PEERS, "fake", ("nothing", "no_such_library", planner))
    said = "No module named 'no_such_library': pip install gp_emq[peers] brings what "
    assert answer(folder)["error"].startswith(said)


def test_our_plans_keep_to_the_average() -> None:
    inputs = load_inputs("digits")
    samples = inputs.divided(8, 8, 0).calibration
    task = Task(inputs.network, samples, (2, 3, 4), (2.5, 4.0))
    low, high = our_plans(task, "relative_error")
    sizes = {layer.name: np.prod(layer.weight_shape) for layer in inputs.network.layers}
    for made in (low, high):
        bits = sum(sizes[name] * width for name, width in made.widths.items())
        assert bits / sum(sizes.values()) <= made.average * (1 + 1e-9)
        assert made.seconds > 0
    assert set(high.widths.values()) == {4}
    assert set(low.widths.values()) > {2}
