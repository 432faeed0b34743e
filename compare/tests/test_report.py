"""The reports, over results with missing cells, an excluded arm, floors and text that wants to be markup."""

import json
import math
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Literal

import jsonschema
import pytest
from rich.console import Console

from assay.judge.verdict import judge
from assay.measure.statistics import Ratio, verdict
from assay.report import html, json_file, terminal
from assay.report.model import (
    FORMAT,
    Arm,
    Cell,
    ClauseResult,
    Comparison,
    Database,
    Doubt,
    Environment,
    Failure,
    Implementation,
    Interval,
    Method,
    Noise,
    Operation,
    Results,
    Scenario,
)

NASTY = """<script>alert("1")</script> & <img src="https://example.org/x.png" onerror='x()'>"""
WRONG_ANSWER = f"the answer to {NASTY} differs from asyncpg's"
SERVICES = {"asyncpg": 1.0, "sqlalchemy": 2.4, "tortoise": 1.9, "motor": 1.02}
SCENARIOS = {
    "users.get": 130.0,
    "documents.get": 168.0,
    "documents.list": 940.0,
    "documents.list.filtered": 1310.0,
    "users.create": 176.0,
    "documents.patch": 231.0,
    "documents.create_many": 4210.0,
    "documents.transfer": 612.0,
    "dashboard": 348.0,
}
FLOORED = {"users.get": ("floor-asyncpg", "floor-motor", "floor-http")}


def around(value: float, spread: float = 0.015) -> Interval:
    return Interval(value=value, low=value * (1 - spread), high=value * (1 + spread))


def compared(ratio: float, spread: float = 0.015, noise: float = 0.022) -> Comparison:
    found = around(ratio, spread)
    word = verdict(Ratio(found.value, found.low, found.high, 12), noise)
    return Comparison(ratio=found, rounds=12, verdict=word.value)


def measured(arm: str, scenario: str, ratio: float, place: int) -> Cell:
    cpu = SCENARIOS[scenario] * ratio
    return Cell(
        arm=arm,
        scenario=scenario,
        missing=None,
        rounds=12,
        requests=round(900_000 / cpu),
        errors=3 if (arm, scenario) == ("motor", "documents.patch") else 0,
        service_cpu=around(cpu),
        database_cpu=around(40 + 11 * place, 0.04),
        round_trips=2.5 if arm == "motor" else 1.0 if ratio < 2 else 3.0,
        per_second=around(0.9e6 / cpu, 0.03),
        p50_ms=cpu / 70,
        p90_ms=cpu / 48,
        p99_ms=None if scenario == "documents.create_many" else cpu / 22,
        against_baseline=None
        if arm == "asyncpg"
        else compared(ratio, noise=math.inf if scenario == "dashboard" else 0.022),
    )


def cells() -> list[Cell]:
    found = []
    for place, scenario in enumerate(SCENARIOS):
        for number, (arm, ratio) in enumerate(SERVICES.items()):
            drifted = 1.0 if arm == "asyncpg" else ratio * (1 + 0.09 * math.sin(place + number))
            if arm == "tortoise":
                found.append(Cell(arm=arm, scenario=scenario, missing="2 tests of the contract failed"))
            elif (arm, scenario) == ("motor", "documents.transfer"):
                found.append(Cell(arm=arm, scenario=scenario, missing=WRONG_ANSWER))
            else:
                found.append(measured(arm, scenario, drifted, number))
        found.append(measured("asyncpg-again", scenario, 1.01 if place % 2 else 0.99, 0))
        for number, floor in enumerate(FLOORED.get(scenario, ())):
            found.append(measured(floor, scenario, 0.42 + 0.2 * number, number))
    return found


def arm(name: str, kind: Literal["service", "again", "floor"], backend: str | None) -> Arm:
    mongo = "motor" in name
    parity = {
        "processes": "1",
        "pool limit": "10",
        "layer": f"{backend} 1.2.3",
        "database": "mongodb 6.0.5" if mongo else "postgresql 18.1",
        "uvicorn": "0.50.1",
        **({"journal": "true", "default write concern": "majority"} if mongo else {"fsync": "on"}),
        "event loop": NASTY if name == "sqlalchemy" else "uvloop",
    }
    failed = name == "tortoise"
    failures = [
        Failure(test="test_users.py::test_email_is_unique[tortoise]", clauses=["USR-2"], message=NASTY),
        Failure(
            test="test_documents.py::test_transfer", clauses=["DOC-8", "GEN-11"], message="409 expected, 200"
        ),
    ]
    return Arm(
        name=name,
        title=f"Assay on {name}",
        kind=kind,
        backend=backend,
        layer=backend or "none",
        database="mongodb" if mongo else "postgresql",
        parity={} if kind == "floor" else parity,
        failures=failures if failed else [],
        excluded="2 tests of the contract failed" if failed else None,
    )


def operation(name: str) -> Operation:
    body = f'async def {name.partition(".")[2]}(self, key: UUID) -> User:\n    """{NASTY}"""\n'
    statement = '\n_GET = f"SELECT {_COLUMNS} FROM users WHERE id = $1"  # 1 < 2 & 3\n'
    found = [
        Implementation(
            backend=backend,
            file=f"{backend}_service/users.py",
            line=40 + number,
            lines=4 + number,
            source=body + "    return await self._conn.fetchrow(_GET, key, 42)\n" * (number + 1) + statement,
        )
        for number, backend in enumerate(SERVICES)
        if (backend, name) != ("motor", "documents.transfer")
    ]
    return Operation(name=name, promise="The user. Raises NotFound. USR-3", implementations=found)


def clause_results() -> list[ClauseResult]:
    families = {"GEN": 14, "USR": 9, "DOC": 8, "DSH": 2, "OPS": 2}
    names = [f"{family}-{number}" for family, count in families.items() for number in range(1, count + 1)]
    return [
        ClauseResult(
            clause=name,
            backends={
                backend: "failed"
                if backend == "tortoise" and name in {"USR-2", "DOC-8", "GEN-11"}
                else "not run"
                if name == "OPS-2" and backend == "motor"
                else "passed"
                for backend in SERVICES
            },
        )
        for name in names
    ]


def environment() -> Environment:
    return Environment(
        platform="Linux 6.12 x86_64",
        python="3.11.11",
        cpus=2,
        cpu_model="AMD EPYC 7763",
        memory_bytes=8_589_934_592,
        databases=[
            Database(kind="postgresql", version="18.1", source="embedded", settings={"fsync": "on"}),
            Database(kind="mongodb", version="6.0.5", source="embedded", settings={"journal": "true"}),
        ],
        versions={"uvicorn": "0.50.1", "asyncpg": "0.32.0", "sqlalchemy": "2.1.0"},
    )


def build() -> Results:
    arms = [
        *(arm(name, "service", name) for name in SERVICES),
        arm("asyncpg-again", "again", "asyncpg"),
        *(arm(name, "floor", None) for name in ("floor-asyncpg", "floor-motor", "floor-http")),
    ]
    scenarios = [
        Scenario(
            name=name,
            title=f"One {name} as the contract has it",
            operation="dashboard" if name == "dashboard" else name,
            clauses=["DOC-2", "GEN-10"],
            example=f"GET /documents?where={NASTY}",
            connections=16,
            floor=name in FLOORED,
        )
        for name in SCENARIOS
    ]
    noise = [
        Noise(scenario=name, comparison=compared(1.01, 0.012) if name != "dashboard" else None)
        for name in SCENARIOS
    ]
    method = Method(slices=4, slice_seconds=0.15, warm_up_seconds=0.5, users=10_000, documents=50_000)
    names = ("users.get", "documents.get", "documents.transfer", "dashboard.totals", "dashboard.top_tags")
    return Results(
        format=FORMAT,
        started_at="2026-11-22T10:00:00Z",
        seconds=171.3,
        command="assay compare --quick",
        seed=7,
        baseline="asyncpg",
        twin_of="asyncpg",
        environment=environment(),
        method=method,
        arms=arms,
        scenarios=scenarios,
        cells=cells(),
        noise=noise,
        conformance=clause_results(),
        operations=[operation(name) for name in names],
        doubts=[Doubt.NOISY, Doubt.TOO_FEW],
        judgement=judge(
            cells(), noise, arms, scenarios, baseline="asyncpg", method=method, environment=environment()
        ),
    )


class Page(HTMLParser):
    """The page's elements as (name, attributes) and its text; fails on an element that is not closed."""

    EMPTY = frozenset({"meta", "br", "wbr", "line", "rect", "circle", "path"})

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
    loading = {"script", "link", "img", "iframe", "object", "embed", "use", "image", "base", "form", "video"}
    assert not loading & {name for name, _ in page.elements}
    for _, attributes in page.elements:
        assert not [name for name in attributes if name in {"src", "srcset"} or name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
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
    rows = re.findall(r'<tr class="(service|again|floor)">', source)
    assert len(rows) == len(results.cells)


def test_tables_and_charts_are_named(page: Page) -> None:
    assert page.count("caption") == page.count("table")
    assert page.count("title") == 1 + len(SCENARIOS)
    assert page.count("desc") == len(SCENARIOS)
    assert all("scope" in attributes for name, attributes in page.elements if name == "th")
    assert page.count("h1") == 1


def test_the_verdict_comes_first_and_names_what_is_missing(page: Page, results: Results) -> None:
    text = page.text
    body = text[text.index("The verdict") :]
    assert body.index(results.judgement.headline) < body.index("Scenario by scenario")
    assert "tortoise has no figures: 2 tests of the contract failed" in body
    for doubt in results.doubts:
        assert doubt.value[1:] in body
    assert "no such method" in body


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_every_name_whole(results: Results, width: int) -> None:
    console = Console(width=width, record=True, file=StringIO())
    terminal.show(results, Path("out"), console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in [*SERVICES, *SCENARIOS, "floor-asyncpg", "floor-motor", "floor-http", "out/report.html"]:
        assert name in text, name
    for doubt in results.doubts:
        assert doubt.value in text
