"""The site of docs/ builds without a warning, and holds what it must."""

import importlib.util
import re
from pathlib import Path

import every_command
import pytest
from forked import Forked

import gp_emq

ROOT = Path(__file__).parents[1]
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx_argparse_cli")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} missing: pip install 'gp_emq[docs]'"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    built = Forked(["sphinx", "-W", "--keep-going", "-q", ROOT / "docs", out])
    _, complaints = built.communicate(250)
    assert (built.returncode, complaints) == (0, ""), complaints
    return out


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    linked = set(re.findall(r'href="([\w-]+)\.html"', (site / "index.html").read_text()))
    assert pages - {"index"} <= linked
    assert len(pages) > 15


def test_the_reference_has_all_public_names_and_commands(site: Path) -> None:
    names = set(gp_emq.__all__) - {"__version__"}
    assert names <= set(re.findall(r'id="gp_emq\.(\w+)"', (site / "api.html").read_text()))
    commands = (site / "commands.html").read_text()
    for module, words, action in every_command.every_option():
        for option in action.option_strings:
            assert option in commands, f"{module} {words} {option}"
    packages = (site / "packages.html").read_text()
    for name in ("gp_emq.evolution.Objective", "primitives.PrimitiveSet", "gp_emq.mqbench.Bench"):
        assert f'id="{name}"' in packages


def test_nothing_of_the_site_comes_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="(https?:[^"]+)"')
    for page in site.glob("*.html"):
        assert loaded.findall(page.read_text()) == []
