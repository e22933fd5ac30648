"""The guide does what it says: its code runs, and so do its commands."""

import json
import re

import following
import pytest
import torch

import gp_emq

pytestmark = pytest.mark.slow

GUIDE = following.DOCS / "guide.md"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory):
    """The folder, the names and the outputs of somebody who followed the guide."""
    folder = tmp_path_factory.mktemp("guide")
    with following.followed("guide.md", folder) as (names, outputs):
        yield folder, names, outputs


def test_the_python_gives_a_plan_and_a_network(followed) -> None:
    _, names, _ = followed
    widths = names["plan"].widths
    assert (widths["0.0"], widths["5"]) == (8, 8)
    assert set(widths) == {"0.0", "1.0", "2.0", "5"}
    assert names["plan"].measures.average_bits <= 3
    assert names["logits"].shape == (200, 5)
    torch.testing.assert_close(names["quantized"](names["images"]), names["logits"])


def test_the_search_gives_a_formula_with_a_table(followed) -> None:
    _, names, _ = followed
    assert names["table"].shape == (4, 3)
    assert names["table"].expression == names["formula"].expression
    assert len(names["front"]) == len(names["found"].formulas)


def test_the_commands_plan_quantize_and_write(followed) -> None:
    folder, _, outputs = followed
    assert len(outputs) == 7
    assert outputs[4].startswith("plan for shop:network, by fit")
    assert "agreement" in outputs[5]
    report = json.loads(outputs[6])
    assert report["methods"][0]["method"] == "adaround"
    assert (report["calibration_images"], report["test_images"]) == (100, 100)
    for name in ("rtn+bn-correction", "adaround"):
        assert (folder / f"plan-{name}.safetensors").is_file()


def test_a_language_model_is_planned_and_its_perplexity_measured(followed) -> None:
    folder, names, outputs = followed
    found, language = names["perplexities"], names["language"]
    # By hand: every letter's probability, of the samples that did not calibrate.
    tokens = language.samples[names["order"][64:]]
    with torch.no_grad():
        logs = language.model(tokens)[:, :-1].log_softmax(-1)
    given = logs.gather(2, tokens[:, 1:, None])
    assert found["float"] == pytest.approx(float((-given.mean()).exp()), rel=1e-5)
    assert found["float"] < 16  # it has learned: letters of equal chance have 128
    assert found["float"] < found["plan"] < found["2 bits"]
    assert found["4 bits"] < found["3 bits"] < found["2 bits"]
    assert 2 < names["planned"].measures.average_bits <= 2.5
    assert outputs[2].startswith("plan for reader:language, by fit")
    assert "every 64 weights of an output channel share a scale" in outputs[2]
    report = json.loads(outputs[3])
    assert (report["metric"], report["higher_is_better"]) == ("perplexity", False)
    assert report["float"]["value"] < report["methods"][0]["accuracy"]["value"] < 16
    assert {"letters", "places"} <= set(names["planned"].widths)
    assert list(report["in_float"]) == []
    assert (folder / "reader-rtn.safetensors").is_file()


def test_the_plans_of_the_language_model_count_and_keep_groups_of_64(followed) -> None:
    folder, names, _ = followed
    for plan in (names["planned"], gp_emq.load_plan(folder / "reader.json")):
        assert plan.scale_group == 64
    file = gp_emq.load_quantized(folder / "reader-rtn.safetensors", names["language"].model)
    weight = file.network.get_submodule("blocks.1.down").weight.detach()
    assert weight.shape == (64, 256)
    for row in weight:
        for group in row.reshape(4, 64):
            levels = group.unique()
            assert len(levels) <= 4
            steps = levels / levels.diff().min()
            assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert max(len(row.unique()) for row in weight) > 4


def test_a_network_of_sounds_is_planned_by_its_own_loss_and_metric(followed) -> None:
    folder, names, outputs = followed
    heard, hearing = names["heard"], names["hearing"]
    with torch.no_grad():
        found = hearing.model.eval()(hearing.samples[256:]) > 0
    # By hand: a sound counts if none of its eight notes is wrong.
    right = (found != hearing.targets[256:].bool()).sum(dim=1) == 0
    assert heard["float"] == pytest.approx(float(right.double().mean()))
    assert heard["float"] > 0.8  # it has learned: the likeliest answer is right of 6 in 100
    assert heard["2 bits"] < heard["plan"]
    assert heard["2 bits"] < heard["3 bits"]
    assert 2 < names["tuned"].measures.average_bits <= 2.5
    assert outputs[0].startswith("plan for listener:hearing, by fit")
    assert "sounds heard" in outputs[1]
    assert "512 test samples; 256 calibration samples" in outputs[1]
    assert {path.name for path in folder.glob("listener-*.safetensors")} == {
        "listener-rtn.safetensors", "listener-rtn+bn.safetensors"
    }  # fmt: skip


def test_every_command_and_option_in_the_text_exists() -> None:
    from gp_emq.cli._allocate_parser import make_parser as allocate
    from gp_emq.cli._quantize import make_parser as quantize

    known = {
        option
        for parser in (allocate(), quantize())
        for action in parser._actions
        for option in action.option_strings
    } | {"--list-proxies"}
    named = re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDE.read_text(encoding="utf-8"))
    assert named
    assert set(named) <= known


def test_the_table_of_methods_is_complete() -> None:
    from gp_emq.quantization.recipes import list_recipes

    rows = re.findall(r"^\| `([^`]+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [*(method.name for method in list_recipes()), "qat"]
