import json

import numpy as np
import pytest
import safetensors.numpy

from gp_emq.errors import BenchError, RunError
from gp_emq.mqbench import Bench, list_benches, load_bench, read_bench, write_bench

IMAGES = 12


def small_bench(**changes):
    generator = np.random.default_rng(0)
    right = generator.random((4, IMAGES)) < 0.6
    parts = {
        "name": "small",
        "network": "digits",
        "layers": ("a", "b", "c"),
        "entries": ((0, 2), (1,)),
        "bits": (2, 3),
        "protocol": "rtn",
        "configurations": np.array([[2, 2], [2, 3], [3, 2], [3, 3]], dtype=np.int8),
        "accuracies": right.mean(axis=1),
        "correct": np.packbits(right, axis=1),
        "images": IMAGES,
        "split": np.array([0, 0, 1, 2], dtype=np.int8),
        "groups": IMAGES,
        "provenance": {"seed": 3},
    }
    return Bench(**{**parts, **changes})


def test_a_bench_reads_back_as_it_was_written(tmp_path):
    bench = small_bench()
    write_bench(bench, tmp_path / "b.safetensors")
    read = read_bench(tmp_path / "b.safetensors")
    for name in ("name", "network", "layers", "entries", "bits", "protocol", "images", "groups"):
        assert getattr(read, name) == getattr(bench, name)
    for name in ("configurations", "accuracies", "correct", "split"):
        assert np.array_equal(getattr(read, name), getattr(bench, name))
        assert getattr(read, name).dtype == getattr(bench, name).dtype
    assert read.provenance == {"seed": 3}
    assert [list(part) for part in (read.training, read.validation, read.test)] == [
        [0, 1],
        [2],
        [3],
    ]


def test_the_same_bench_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_bench(small_bench(), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_correctness_unpacks_to_images():
    bench = small_bench()
    right = bench.correctness()
    assert right.shape == (4, IMAGES)
    assert np.allclose(right.mean(axis=1), bench.accuracies)


def test_a_bench_without_correctness_is_one_too(tmp_path):
    write_bench(small_bench(correct=None), tmp_path / "b.safetensors")
    assert read_bench(tmp_path / "b.safetensors").correct is None


INCONSISTENT = {
    "width outside": ({"configurations": [[2, 2], [2, 3], [3, 2], [3, 4]]}, "none of its bit"),
    "duplicate": ({"configurations": [[2, 2], [2, 3], [3, 2], [2, 2]]}, "there twice"),
    "entries": ({"configurations": [[2], [3]]}, "configurations must be int8"),
    "dtype": ({"accuracies": np.zeros(4, np.float32)}, "accuracies must be float64"),
    "accuracy": ({"accuracies": np.array([0.5, 0.5, 0.5, 1.5])}, "outside 0 to 1"),
    "not finite": ({"accuracies": np.array([0.5, 0.5, 0.5, np.nan])}, "not finite"),
    "disagreement": ({"accuracies": np.zeros(4)}, "of its images are right"),
    "split": ({"split": np.array([0, 1, 2, 3], np.int8)}, "none of 0"),
    "split length": ({"split": np.array([0, 1, 2], np.int8)}, "split must be int8"),
    "packed length": ({"images": 17, "groups": 17}, "correct must be uint8"),
    "bits": ({"bits": (3, 2)}, "not ascending"),
    "wide bits": ({"bits": (2, 3, 9)}, "not all 2 to 8"),
    "cover": ({"entries": ((0,), (1,))}, "do not cover its 3 layers"),
    "names": ({"layers": ("a", "a", "c")}, "distinct names"),
    "groups": ({"groups": 5}, "do not show 5 base images"),
    "empty": ({"configurations": np.zeros((0, 2)), "accuracies": np.zeros(0),
               "split": np.zeros(0, np.int8), "correct": None}, "no configurations"),
}  # fmt: skip


@pytest.mark.parametrize("case", INCONSISTENT)
def test_an_inconsistent_bench_gives_one_line(case):
    changes, words = INCONSISTENT[case]
    changes = dict(changes)
    if "configurations" in changes:
        changes["configurations"] = np.array(changes["configurations"], dtype=np.int8)
    with pytest.raises(BenchError, match=words) as caught:
        small_bench(**changes)
    assert str(caught.value).startswith("bench small: ")
    assert "\n" not in str(caught.value)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "b.safetensors"
    write_bench(small_bench(), path)
    return path


@pytest.mark.parametrize("keep", [0, 5, 60, 400, -1])
def test_a_truncated_file_is_refused(file, keep):
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(BenchError, match="does not read as safetensors"):
        read_bench(file)


def rewrite(file, header=None, arrays=None):
    with safetensors.safe_open(file, framework="numpy") as opened:
        metadata = opened.metadata()
        kept = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    text = json.loads(metadata["gp_emq_bench"])
    text.update(header or {})
    kept = {k: v for k, v in {**kept, **(arrays or {})}.items() if v is not None}
    file.write_bytes(safetensors.numpy.save(kept, metadata={"gp_emq_bench": json.dumps(text)}))


@pytest.mark.parametrize(
    ("header", "arrays", "words"),
    [
        ({"format": 2}, {}, "has format 2; this version reads format 1"),
        ({"name": 5}, {}, "name is 5, not text"),
        ({"images": True}, {}, "images is True, not a whole number"),
        ({"entries": [[0, "x"], [1]]}, {}, r"entries\[0\]\[1\] is 'x', not a whole number"),
        ({"entries": [0, 1]}, {}, r"entries\[0\] is 0, not a list"),
        ({"provenance": []}, {}, r"provenance is \[\], not an object"),
        ({}, {"split": None}, "holds the arrays"),
        ({}, {"more": np.zeros(3)}, "holds the arrays"),
        ({}, {"configurations": np.zeros((4, 2), np.int64)}, "configurations must be int8"),
    ],
)
def test_other_contents_are_refused(file, header, arrays, words):
    rewrite(file, header, arrays)
    with pytest.raises(BenchError, match=words):
        read_bench(file)


def test_other_metadata_is_refused(file):
    file.write_bytes(safetensors.numpy.save({"x": np.zeros(2)}))
    with pytest.raises(BenchError, match="metadata lacks"):
        read_bench(file)
    file.write_bytes(safetensors.numpy.save({"x": np.zeros(2)}, metadata={"gp_emq_bench": "{"}))
    with pytest.raises(BenchError, match="no JSON"):
        read_bench(file)


def test_unknown_benches_are_named(tmp_path):
    with pytest.raises(BenchError, match="unknown bench 'nowhere': python -m"):
        load_bench("nowhere")
    with pytest.raises(BenchError, match="'digit': did you mean 'digits'"):
        load_bench("digit")
    with pytest.raises(BenchError, match="no bench file"):
        load_bench(tmp_path / "gone.safetensors")


def test_an_unwritable_place_gives_one_line(tmp_path):
    with pytest.raises(RunError, match="cannot write"):
        write_bench(small_bench(), tmp_path / "no" / "b.safetensors")


@pytest.mark.parametrize("name", list_benches())
def test_shipped_benches_are_sound(name):
    bench = load_bench(name)
    assert bench.name == name
    counts = [len(part) for part in (bench.training, bench.validation, bench.test)]
    total = len(bench.accuracies)
    assert counts == [
        round(0.5 * total),
        round(0.15 * total),
        total - round(0.5 * total) - round(0.15 * total),
    ]
    assert load_bench(name).provenance["protocol"]["activations"]["bits"] == 8
