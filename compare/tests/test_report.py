"""The reports, over results with missing cells, an excluded arm, floors and text that wants to be markup."""

import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import jsonschema
import pytest
from results_builder import FLOORS, NASTY, SCENARIOS, build, operation
from results_parts import SERVICES, parts
from rich.console import Console

from assay.report import html, json_file, terminal
from assay.report.model import Doubt, Results

MEGABYTE = 1_000_000
FIGURES = ("latency", "capacity", "split", "growth", "delay")


class Page(HTMLParser):
    """The page's elements as (name, attributes) and its text; fails on an element that is not closed."""

    EMPTY = frozenset({"meta", "br", "wbr", "line", "rect", "circle", "path", "input", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def results() -> Results:
    return build()


@pytest.fixture(scope="module")
def source(results: Results) -> str:
    return html.page(results)


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_the_committed_schema_is_current() -> None:
    assert json_file.SCHEMA_FILE.read_text(encoding="utf-8") == json_file.schema_text()


def test_results_survive_the_file_and_keep_to_the_schema(results: Results, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    json_file.write(results, file)
    jsonschema.validate(json.loads(file.read_bytes()), json_file.schema())
    assert json_file.read(file) == results


@pytest.mark.parametrize("text", [None, "", "[]", '{"format": "assay-results/0"}'])
def test_what_is_no_results_file_is_one_line(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(json_file.UnreadableResults, match=re.escape(str(file))) as caught:
        json_file.read(file)
    assert "\n" not in str(caught.value)


def test_the_page_needs_nothing_from_outside(page: Page, source: str) -> None:
    loading = {"link", "img", "iframe", "object", "embed", "use", "image", "base", "video"}
    assert not loading & {name for name, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name in {"src", "srcset"} or name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert [attributes for name, attributes in page.elements if name == "script"] == [
        {"type": "application/json", "id": "weighing"},
        {},
    ]
    assert "default-src 'none'" in source
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_within_the_page_arrives(page: Page) -> None:
    anchors = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    targets = {(attributes["href"] or "")[1:] for name, attributes in page.elements if name == "a"}
    assert targets <= set(anchors)
    for _, attributes in page.elements:
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(anchors)


def test_text_from_outside_is_text(page: Page) -> None:
    flat = " ".join(NASTY.split())
    assert page.text.count(flat) > len(SERVICES)


def test_every_cell_is_on_the_page(page: Page, results: Results, source: str) -> None:
    for cell in results.cells:
        if cell.missing is not None:
            assert f"no figures: {' '.join(cell.missing.split())}" in page.text
    for number, scenario in enumerate(results.scenarios, 1):
        start = source.index(f'id="scenario-{number}"')
        rows = re.findall(r'<tr class="(\w+)">', source[start : source.index("</article>", start)])
        assert len(rows) == sum(cell.scenario == scenario.name for cell in results.cells)


def test_tables_and_charts_are_named(page: Page) -> None:
    assert page.count("caption") == page.count("table")
    assert page.count("title") == 1 + page.count("desc")
    assert page.count("desc") > len(SCENARIOS) + len(FIGURES)
    assert all("scope" in attributes for name, attributes in page.elements if name == "th")
    assert page.count("h1") == 1


def test_the_verdict_comes_first_and_names_what_is_missing(page: Page, results: Results) -> None:
    text = page.text
    body = text[text.index("The verdict") :]
    assert body.index(results.judgement.headline) < body.index("What does a request cost?")
    assert "tortoise has no figures: 2 tests of the contract failed" in body
    for doubt in results.doubts:
        assert doubt.value[1:] in body
    assert "no such method" in body


def test_each_kind_of_figure_has_a_chart_and_a_table(source: str) -> None:
    for kind in FIGURES:
        start = source.index(f'aria-labelledby="{kind}-1-name"')
        article = source[start : source.index("</article>", start)]
        assert f'aria-labelledby="{kind}-1-title {kind}-1-text"' in article
        for arm in ("asyncpg", "sqlalchemy", "tortoise", "motor", "rivals"):
            assert f"{arm}</span></th>" in article, (kind, arm)
        assert "no figures: 2 tests of the contract failed" in article


def test_only_percentiles_that_were_earned_are_drawn(source: str, results: Results) -> None:
    start = source.index('aria-labelledby="latency-1-name"')
    article = source[start : source.index("</article>", start)]
    lines = re.findall(r'<polyline class="hue-(\d) service " points="([^"]*)"', article)
    ends = {hue: float(points.split()[-1].partition(",")[0]) for hue, points in lines}
    assert ends["1"] == 100.0
    assert 60 < ends["2"] < 70, "sqlalchemy has samples for p99 only"


def test_what_should_be_equal_and_is_not_is_named(page: Page) -> None:
    assert "What differs and should not sqlalchemy pool limit: 20, the others 10" in page.text
    assert "has a journal instead" in page.text
    assert "2 documents fewer than the measurements had to leave" in page.text
    assert "ended 2026-05-14" in page.text


def test_page_and_terminal_say_what_is_left_out_of_scores_and_who_has_none(results: Results) -> None:
    absent = {"motor": "nothing of it was measured that counts (lost under load)"}
    scores = [one for one in results.decision.scores if one.arm != "motor"]
    decision = results.decision.model_copy(update={"absent": absent, "scores": scores})
    told = results.model_copy(update={"decision": decision})
    console = Console(width=400, record=True, file=StringIO())
    terminal.show(told, None, console)
    for text in (Page(html.page(told)).text, console.export_text()):
        assert "Left out of all scores" in text
        assert "Code of the layer" in text
        assert "lost under load" in text


def test_the_page_says_how_intervals_are_made_and_whether_turns_are_in_them(
    page: Page, results: Results
) -> None:
    full = Page(html.page(results.model_copy(update={"command": "assay compare"})))
    for text in (page.text, full.text):
        assert "Hodges–Lehmann" in text
        assert "signed-rank" in text
        assert "bootstrap" not in text
    assert "cannot know how much turns" in page.text
    assert "the variance between turns" in full.text


def test_every_doubt_is_explained(page: Page) -> None:
    for doubt in Doubt:
        assert f"{doubt.value[:1].upper()}{doubt.value[1:]}" in page.text
    assert "The machine was noisy: rounds of one arm differed widely : sqlalchemy" in page.text


def test_a_run_that_measured_nothing_keeps_every_section(results: Results, page: Page) -> None:
    names = "latencies capacities splits footprints growth delays code changes candidates parity contents"
    others = "operations conformance noise cells doubts"
    nothing: dict[str, list[object]] = {name: [] for name in f"{names} {others}".split()}
    empty = Page(html.page(results.model_copy(update=nothing)))
    sections = [attributes["id"] for name, attributes in page.elements if name == "section"]
    assert [attributes["id"] for name, attributes in empty.elements if name == "section"] == sections
    for part in ("Latency", "Capacity", "Attribution", "Growth", "Delay to the database", "Change requests"):
        assert f"{part}: not measured in this run." in empty.text


def test_a_large_run_stays_below_two_megabytes() -> None:
    names = [f"documents.scenario_{number}" for number in range(30)]
    operations = [operation(f"documents.operation_{number}", 40) for number in range(60)]
    more = {"operations": operations, "latencies": parts(names)["latencies"]}
    page = html.page(build(names).model_copy(update=more))
    assert len(page.encode()) < 2 * MEGABYTE


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_loses_no_name_and_no_figure(results: Results, width: int) -> None:
    texts = []
    for columns in (width, 400):
        console = Console(width=columns, record=True, file=StringIO())
        terminal.show(results, None, console)
        texts.append(console.export_text())
    narrow, wide = texts
    assert max(map(len, narrow.splitlines())) <= width
    assert "…" not in narrow
    assert set(wide.replace(";", " ").split()) <= set(narrow.replace(";", " ").split())


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_every_name_whole(results: Results, width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    terminal.show(results, Path("out/report.html"), console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in [*SERVICES, *SCENARIOS, *FLOORS, "out/report.html"]:
        assert name in text, name
    for doubt in results.doubts:
        assert doubt.value in text
