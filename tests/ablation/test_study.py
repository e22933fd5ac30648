"""Files of studies: what they say, and how what is wrong in them is refused."""

import re
from pathlib import Path

import pytest

from gp_emq.ablation import read_study
from gp_emq.errors import RunError

GOOD = """
benches = ["digits"]
held_out = ["plain-digits-rtn-channel"]
seeds = 2
evaluations = 50
settings = { population = 20, primitives = "weights_only" }

[variants.reference]

[variants.unscreened]
screening = false
benches = ["narrow-digits-rtn-bn-channel", "digits"]
validate_on = ["wide-digits-rtn-channel"]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(text)
    return path


def test_a_variant_has_the_settings_of_all_and_its_own(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, GOOD))
    assert (study.seeds, study.evaluations, study.held_out) == (
        (0, 1), 50, ("plain-digits-rtn-channel",),
    )  # fmt: skip
    first, other = (variant.configuration(7) for variant in study.variants)
    assert first.benches == ("digits",)
    assert (first.population, first.primitives, first.screening) == (20, "weights_only", True)
    assert other.benches == ("narrow-digits-rtn-bn-channel", "digits")
    assert (other.population, other.screening, other.seed) == (20, False, 7)
    assert (first.validate_on, other.validate_on) == ((), ("wide-digits-rtn-channel",))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("seeds = 2", "seeds = 0"), "gives seeds as 0: it is from 1 to 1000"),
        (("seeds = 2", "seeds = '2'"), "seeds"),
        (("screening = false", "screning = false"), "sets 'screning': known are bench_samples, c"),
        (("screening = false", "screening = 1"), "screening"),
        (("screening = false", "seed = 1"), "sets 'seed': known are"),
        (("screening = false", "network = 'os:system'"), "sets 'network': known are"),
        (("screening = false", "population = 0"), "population"),
        (("screening = false", "primitives = 'mine.py'"), "give --primitives mine.py"),
        (("[variants.unscreened]", "[variants.'../up']"), "a variant '../up'"),
        (("screening = false", "benches = []"), r"gives benches as \[\]"),
        (('held_out = ["plain-digits-rtn-channel"]', 'held_out = ["digits"]'), "holds out"),
        (('["plain-digits-rtn-channel"]', '["wide-digits-rtn-channel"]'), "chooses by"),
        (("evaluations = 50", "evaluation = 50"), "evaluation"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    text = GOOD.replace(*change)
    if "benches = []" in change[1]:
        text = text.replace('benches = ["narrow-digits-rtn-bn-channel", "digits"]\n', "")
    with pytest.raises(RunError, match=complaint) as caught:
        read_study(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_no_variants_are_no_study(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=re.escape("[variants.NAME]")):
        read_study(written(tmp_path, 'benches = ["digits"]\nvariants = {}\n'))


def test_a_set_that_the_command_line_names_may_be_named(tmp_path: Path) -> None:
    text = GOOD.replace("screening = false", "primitives = 'mine.py'")
    study = read_study(written(tmp_path, text), ["mine.py"])
    assert study.variants[1].configuration(0).primitives == "mine.py"
