"""What a report says, and that it needs nothing but itself."""

import json
import re
import shlex
import shutil
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats

from analysis.report import main
from analysis.reporting import report_page
from analysis.reporting._agreements import agreements
from analysis.reporting._facts import command_of
from analysis.reporting._source import read_runs
from gp_emq.cli._run import read_run
from gp_emq.errors import GpEmqError, RunError
from gp_emq.experiment import RunConfiguration
from gp_emq.store import RunStore

SECTIONS = [
    "What was run", "How well it ranks", "Beside other proxies", "Scores against measurements",
    "Rank against size of the formula", "How the search went", "Where the formula comes from",
    "Bits per layer", "Times",
]  # fmt: skip
FIGURES = {"agreements", "rivals-0", "scatter-0", "front", "course", "screening", "pedigree",
           "plans-0", "times"}  # fmt: skip


class Page(HTMLParser):
    """The parts of a page that tests look at."""

    def __init__(self, text):
        super().__init__()
        self.source = text
        self.tags, self.identifiers, self.links, self.text = Counter(), Counter(), [], []
        self.rows, self.heads, self.drawings, self.inside = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        given = dict(attributes)
        if "id" in given:
            self.identifiers[given["id"]] += 1
        self.links += [given[name] for name in ("src", "href", "xlink:href") if name in given]
        if tag == "tr":
            self.rows.append([])
        elif tag in {"td", "th"} and self.rows:
            self.rows[-1].append("")
        elif tag == "figure":
            self.drawings[given["id"]] = ""
        if tag not in {"meta", "link", "br"}:
            self.inside.append((tag, given.get("type")))

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, data):
        now = self.inside[-1] if self.inside else ("", None)
        if now[0] == "script":
            if now[1] == "application/json":
                self.drawings[next(reversed(self.drawings))] += data
            return
        self.text.append(data)
        if self.rows and any(tag in {"td", "th"} for tag, _ in self.inside):
            self.rows[-1][-1] += data
        if now[0] in {"h1", "h2", "h3", "h4"}:
            self.heads.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def finished_page(finished_run):
    return Page(report_page([finished_run]))


@pytest.fixture(scope="module")
def young_page(young_run):
    return Page(report_page([young_run]))


@pytest.fixture(scope="module")
def two_pages(finished_run, young_run):
    return Page(report_page([finished_run, young_run]))


@pytest.fixture
def copied_run(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(params=["finished_page", "young_page", "two_pages"])
def any_page(request):
    return request.getfixturevalue(request.param)


def test_a_page_needs_no_other(any_page):
    assert all(link.startswith(("#", "data:")) for link in any_page.links)
    assert {link[1:] for link in any_page.links if link.startswith("#")} <= set(
        any_page.identifiers
    )
    assert max(any_page.identifiers.values()) == 1
    assert "@import" not in any_page.source
    assert len(any_page.source.encode()) < 3.5e6


def test_figures_are_what_plotly_takes(any_page):
    figures = pytest.importorskip("plotly.graph_objects")
    for name, text in any_page.drawings.items():
        content = json.loads(text)
        figure = figures.Figure(data=content["data"], layout=content["layout"])
        drawn = [t for t in figure.data if t.type == "heatmap" or (t.x and t.x[0] is not None)]
        assert drawn, name


def test_no_row_of_a_table_is_blank_and_no_cell_missing(any_page):
    assert len(any_page.rows) > 20
    for row in any_page.rows:
        assert all(cell.strip() for cell in row), row
        assert any(cell != "–" for cell in row[1:]), row


def test_a_finished_run_has_every_part(finished_page):
    assert [head for head in finished_page.heads if head in SECTIONS] == SECTIONS
    assert "The recommended formula" in finished_page.heads
    assert set(finished_page.drawings) == FIGURES
    assert "best formula so far" not in finished_page.words


def test_an_unfinished_run_recommends_nothing(young_page):
    assert "The best formula so far" in young_page.heads
    assert "recommended formula" not in young_page.words.lower()
    assert "not finished" in young_page.words
    assert set(young_page.drawings) == FIGURES


def test_several_runs_come_side_by_side_and_then_one_by_one(two_pages):
    together = {"tests", "courses", "fronts", "screenings"}
    each = {f"run{place}-{name}" for place in (0, 1) for name in FIGURES}
    assert set(two_pages.drawings) == together | each
    assert re.search(r"\bfinished\d+/run\b", two_pages.words)
    assert re.search(r"\byoung\d+/run\b", two_pages.words)


def test_the_summary_of_a_run_is_shown_as_it_stands(finished_page):
    assert "[0.660, 0.750]" in finished_page.words
    assert "sum of bits" in finished_page.words


def test_every_formula_of_the_front_is_shown(finished_run, finished_page):
    with RunStore.open(finished_run, readonly=True) as store:
        front = [store.individual(id_) for id_ in store.meta("summary")["front"]]
    assert all(row.expression in finished_page.words for row in front)


def test_taus_are_those_of_scipy(finished_run):
    (run,) = read_runs([finished_run])
    (bench,) = run.benches
    (table,) = run.chosen.oriented_tables
    places = bench.configurations - 2
    scores = table[np.arange(len(table)), places].sum(axis=1)
    sizes = bench.configurations @ bench.parameters
    for which, found in enumerate(agreements(run)):
        chosen = np.flatnonzero(bench.split == which)
        expected = stats.kendalltau(scores[chosen], bench.accuracies[chosen]).statistic
        assert found.overall.value == pytest.approx(expected, abs=1e-9)
        assert found.configurations == len(chosen)
        assert found.overall.low < expected < found.overall.high
        rights = wrongs = 0
        for a in range(len(chosen)):
            for b in range(a):
                one, other = chosen[a], chosen[b]
                if abs(sizes[one] - sizes[other]) < 0.02 * np.ptp(sizes):
                    agree = (scores[one] - scores[other]) * (
                        bench.accuracies[one] - bench.accuracies[other]
                    )
                    rights, wrongs = rights + (agree > 0), wrongs + (agree < 0)
        # No scores are tied here, and few accuracies.
        assert found.equal_cost.value == pytest.approx(
            (rights - wrongs) / (rights + wrongs), abs=0.01
        )


def test_a_run_that_does_not_say_how_large_layers_are_has_no_tau_at_equal_cost(young_page):
    assert "the run does not say how large layers are" in young_page.words
    assert "bits on average" in young_page.words


def test_the_formula_is_typeset_and_its_symbols_are_explained(finished_page):
    (text,) = re.findall(r'<div class="formula">(.*?)</div>', finished_page.source)
    assert ET.fromstring(text).tag.endswith("math")  # noqa: S314 - our own
    assert "quantized weight minus weight, for every bit width" in finished_page.words


def test_hovering_shows_a_formula_and_whom_it_comes_from(finished_run, finished_page):
    content = json.loads(finished_page.drawings["pedigree"])
    texts = [text for trace in content["data"] for text in trace.get("text", [])]
    (run,) = read_runs([finished_run])
    mine = next(text for text in texts if f"#{run.chosen.id}<br>" in text)
    assert all(f"parent #{parent}" in mine for parent in run.chosen.parents)
    assert run.chosen.expression[:40] in mine
    fronts = json.loads(finished_page.drawings["front"])["data"]
    assert any(run.chosen.expression[:40] in text for trace in fronts for text in trace["text"])


def test_what_a_run_says_is_text_and_no_markup(copied_run):
    with RunStore.open(copied_run) as store:
        store.set_meta("bench", {"name": "<script>alert(1)</script>", "network": "<b>bold"})
    page = Page(report_page([copied_run]))
    assert page.tags["script"] == len(page.drawings) + 2
    assert page.tags["b"] == 0
    for text in page.drawings.values():
        assert "<" not in text
        assert "<script" not in json.dumps(json.loads(text)["layout"])


def test_an_objective_of_ones_own_has_no_configurations_to_show(copied_run):
    with RunStore.open(copied_run) as store:
        store.set_meta("objective", ["my network"])
    page = Page(report_page([copied_run]))
    assert set(page.drawings) == {"front", "course", "screening", "pedigree", "times"}
    assert "A proxy for my network" in page.heads


def test_validation_networks_are_named_with_their_taus(copied_run):
    with RunStore.open(copied_run) as store:
        taus = {"other": 0.6125, "third": 0.5}
        found = {"mean": 0.55, "standard_error": 0.1, "taus": taus, "rivals": {"fit_trace": 0.5}}
        summary = {**store.meta("summary"), "validation_networks": found}
        store.set_meta("summary", summary)
    page = Page(report_page([copied_run]))
    assert ["third", "0.500"] in page.rows
    assert "On average 0.556; hand-made proxies on the same: fit_trace 0.500." in page.words
    assert "the shortest within one standard error" in page.words
    with RunStore.open(copied_run) as store:
        store.set_meta("summary", {**summary, "validation_networks": {"taus": 3}})
    with pytest.raises(RunError, match="is damaged"):
        report_page([copied_run])


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--bench", "narrow-digits-rtn-bn-channel", "plain-digits-rtn-channel", "--pop", "7"],
        ["--no-screening", "--seed", "3", "--selection", "emq", "--fitness", "equal-cost"],
        ["--seed-proxies", "fit", "mean(square(quantization_perturbation))", "--crossover", "0.25"],
        ["--validate-on", "digits", "--no-prioritisation", "--max-size", "9", "--max-depth", "3",
         "--bench-samples", "20", "--primitives", "emq", "--data", "/a b", "--weights", "/w.pt"],
    ],
)  # fmt: skip
def test_the_command_of_a_run_starts_the_same_run(options, copied_run):
    asked = read_run(options).configuration
    with RunStore.open(copied_run) as store:
        store.set_meta("config", asked.to_json())
    (run,) = read_runs([copied_run])
    words = shlex.split(command_of(run))
    assert words[:3] == ["python", "-m", "gp_emq.run"]
    again = read_run([*words[3:], "--out", str(copied_run.parent / "new")])
    assert again.configuration == RunConfiguration.from_json(
        json.loads(json.dumps(asked.to_json()))
    )
    assert again.execution.generations == 39


def test_a_run_given_twice_is_refused(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="is given twice"):
        main([str(finished_run), str(finished_run / ".." / "run")])
    assert not list(tmp_path.iterdir())


def test_one_page_of_several_runs_lies_where_it_is_made(finished_run, young_run, tmp_path,
                                                        monkeypatch, capsys):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main([str(finished_run), str(young_run), "--quiet"]) == 0
    assert capsys.readouterr().out == "report.html\n"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_report_is_a_page_of_html(finished_run, tmp_path):
    with pytest.raises(GpEmqError, match=r"html"):
        main([str(finished_run), "--out", str(tmp_path / "report.pdf")])


def test_equal_runs_give_equal_pages(finished_run, finished_page):
    assert report_page([finished_run]) == finished_page.source
