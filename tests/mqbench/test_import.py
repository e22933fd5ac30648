import contextlib
import pickle
import subprocess

import numpy as np
import pytest

from gp_emq import bench
from gp_emq.command import exit_status
from gp_emq.errors import BenchError
from gp_emq.mqbench import bench_quality, import_bench, read_bench, write_bench

ROWS = [([4] * 18, 69.1), ([2] * 9 + [3] * 9, 60.25), ([3] * 18, 65.0)]


def published(path, rows=ROWS):
    table = {i: {"bit_cfg": str(widths), "acc": acc} for i, (widths, acc) in enumerate(rows)}
    path.write_bytes(pickle.dumps(table))
    return path


def test_the_published_pickle_becomes_a_bench(tmp_path):
    imported = import_bench(published(tmp_path / "mqbench.pkl"), name="mq-bench-101")
    assert imported.name == "mq-bench-101"
    assert len(imported.entries) == 18
    assert len(imported.layers) == 21
    assert imported.configurations.tolist() == [widths for widths, _ in ROWS]
    assert imported.accuracies.tolist() == pytest.approx([0.691, 0.6025, 0.65])
    assert imported.correct is None
    assert bench_quality(imported).binomial
    write_bench(imported, tmp_path / "b.safetensors")
    assert read_bench(tmp_path / "b.safetensors").images == 50_000


def test_the_text_form_is_the_same_bench(tmp_path):
    text = tmp_path / "mqbench.txt"
    text.write_text("".join(f"{widths}:{acc}\n" for widths, acc in ROWS))
    first, second = import_bench(text), import_bench(published(tmp_path / "p"))
    assert np.array_equal(first.configurations, second.configurations)
    assert np.array_equal(first.accuracies, second.accuracies)


def test_widths_may_be_lists_and_accuracies_strings(tmp_path):
    path = tmp_path / "p"
    path.write_bytes(pickle.dumps({0: {"bit_cfg": [2] * 18, "acc": "50.5"}}))
    assert import_bench(path).accuracies.tolist() == [0.505]


def test_repeated_configurations_are_averaged(tmp_path):
    imported = import_bench(published(tmp_path / "p", [*ROWS, ([4] * 18, 69.3)]))
    assert imported.accuracies[0] == pytest.approx(0.692)
    assert len(imported.accuracies) == 3
    assert imported.provenance["repeated"] == 1


class Harmful:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("function", [print, eval, subprocess.getoutput, np.array])
def test_a_pickle_that_calls_anything_is_refused(tmp_path, capsys, function, protocol):
    path = tmp_path / "p"
    path.write_bytes(pickle.dumps({0: Harmful(function, "1+1")}, protocol=protocol))
    with pytest.raises(BenchError, match="is refused as a published bench: it asks for"):
        import_bench(path)
    assert capsys.readouterr().out == ""


def test_persistent_objects_and_extensions_are_refused(tmp_path):
    path = tmp_path / "p"
    for content in (b"Pobject\n.", b"\x80\x02\x82\x01.", b"cos\nsystem\n(S'x'\ntR."):
        path.write_bytes(content)
        with pytest.raises(BenchError):
            import_bench(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_pickle_is_refused(tmp_path, share):
    path = published(tmp_path / "p")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BenchError) as caught:
        import_bench(path)
    assert "\n" not in str(caught.value)


def test_damaged_pickles_never_end_in_a_traceback(tmp_path):
    path = published(tmp_path / "p")
    content = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3):
            damaged[place] = generator.integers(0, 256)
        path.write_bytes(damaged)
        with contextlib.suppress(BenchError):
            import_bench(path)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ([], "holds a list"),
        ({}, "holds a dict"),
        ({0: [1, 2]}, "no configuration with its accuracy"),
        ({0: {"bit_cfg": "[2, 3"}}, "no configuration with its accuracy"),
        ({0: {"bit_cfg": "[2, 3", "acc": 50}}, "no configuration with its accuracy"),
        ({0: {"bit_cfg": "__import__('os')", "acc": 50}}, "no configuration with its accuracy"),
        ({0: {"bit_cfg": "[2.5, 3]", "acc": 50}}, "no list of widths"),
        ({0: {"bit_cfg": [2] * 18, "acc": 101}}, "no accuracy in percent"),
        ({0: {"bit_cfg": [2] * 18, "acc": float("nan")}}, "no accuracy in percent"),
        ({0: {"bit_cfg": [2] * 18, "acc": True}}, "no accuracy in percent"),
        ({0: {"bit_cfg": [2] * 17, "acc": 50}}, "17 widths, but resnet18 has 18 entries"),
        ({0: {"bit_cfg": [1] * 18, "acc": 50}}, "not all 2 to 8"),
        ({0: {"bit_cfg": [999] * 18, "acc": 50}}, "a width that no network takes"),
    ],
)
def test_other_tables_are_refused(tmp_path, table, words):
    path = tmp_path / "p"
    path.write_bytes(pickle.dumps(table))
    with pytest.raises(BenchError, match=words) as caught:
        import_bench(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[4, 3]\n", "line 1 is no configuration"),
        ("# nothing\n", "lists no configurations"),
        ("", "lists no configurations"),
        ("[4]:x\n", "line 1 is no configuration"),
        ("[4]:69.1:\n", "line 1"),
    ],
)
def test_other_texts_are_refused_with_their_line(tmp_path, text, words):
    path = tmp_path / "t"
    path.write_text(text)
    with pytest.raises(BenchError, match=words):
        import_bench(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BenchError, match=r"cannot read the bench to import .*gone: No such file"):
        import_bench(tmp_path / "gone")


def run(*arguments):
    return exit_status(lambda: bench.main(["import", *map(str, arguments)]))


def test_the_command_imports(tmp_path, capsys):
    out = tmp_path / "b.safetensors"
    assert run(published(tmp_path / "p"), "--out", out) == 0
    assert "3 configurations of resnet18" in capsys.readouterr().out
    assert read_bench(out).provenance["repeated"] == 0
    (tmp_path / "bad").write_bytes(pickle.dumps(Harmful(print, "ran")))
    assert run(tmp_path / "bad", "--out", tmp_path / "no") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert not (tmp_path / "no").exists()
