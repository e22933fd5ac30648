"""The guide does what it says: its code runs, and so do its commands."""

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The command lines of a block, each as its words."""
    return [shlex.split(line) for line in text.replace("\\\n", " ").splitlines() if line]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory):
    """The folder, the names and the outputs of somebody who followed the guide."""
    folder = tmp_path_factory.mktemp("guide")
    names: dict[str, object] = {}
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        torch.manual_seed(0)
        for kind, text in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
            if text.startswith("# shop.py"):
                Path("shop.py").write_text(text)
            elif kind == "python":
                exec(compile(text, str(GUIDE), "exec"), names)  # noqa: S102 - our own guide
            else:
                assert kind == "sh"
                for words in commands(text):
                    assert words[:2] == ["python", "-m"]
                    with patch.context() as inner:
                        said: list[str] = []
                        inner.setattr(sys.stdout, "write", said.append)
                        assert importlib.import_module(words[2]).main(words[3:]) == 0
                        outputs.append("".join(said))
        sys.modules.pop("shop", None)
    return folder, names, outputs


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
    assert len(outputs) == 3
    assert outputs[0].startswith("plan for shop:network, by fit")
    assert "agreement" in outputs[1]
    report = json.loads(outputs[2])
    assert report["methods"][0]["method"] == "adaround"
    assert (report["calibration_images"], report["test_images"]) == (100, 100)
    for name in ("rtn", "rtn+bn", "adaround"):
        assert (folder / f"plan-{name}.safetensors").is_file()


def test_every_command_and_option_in_the_text_exists() -> None:
    from gp_emq.allocation._parser import make_parser as allocate
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
