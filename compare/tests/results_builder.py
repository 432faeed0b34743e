"""Results with every part filled: missing cells, an excluded arm, floors, alarms, text that is no markup."""

import math
from typing import Literal

from results_parts import SERVICES, around, decision, parts

from assay.measure.statistics import Ratio, verdict
from assay.report.model import (
    FORMAT,
    Arm,
    Cell,
    ClauseResult,
    Comparison,
    Content,
    Database,
    Doubt,
    Environment,
    Failure,
    Implementation,
    Judgement,
    Method,
    Noise,
    Operation,
    Property,
    Results,
    Scenario,
)

NASTY = """<script>alert("1")</script> & <img src="https://example.org/x.png" onerror='x()'>"""
WRONG_ANSWER = f"the answer to {NASTY} differs from asyncpg's"
TWIN = "asyncpg-again"
FLOORS = ("floor-asyncpg", "floor-motor", "floor-http")
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
FLOORED = {"users.get": FLOORS}


def compared(ratio: float, spread: float = 0.015, noise: float = 0.022) -> Comparison:
    found = around(ratio, spread)
    word = verdict(Ratio(found.value, found.low, found.high, 12), noise)
    return Comparison(ratio=found, rounds=12, verdict=word.value)


def measured(arm: str, scenario: str, ratio: float, place: int) -> Cell:
    cpu = SCENARIOS.get(scenario, 300.0) * ratio
    return Cell(
        arm=arm,
        scenario=scenario,
        missing=None,
        rounds=12,
        requests=round(900_000 / cpu),
        errors=3 if (arm, scenario) == ("motor", "documents.patch") else 0,
        compared=64,
        service_cpu=around(cpu),
        database_cpu=around(40 + 11 * place, 0.04),
        round_trips=2.5 if arm == "motor" else 1.0 if ratio < 2 else 3.0,
        bytes_in=412.0,
        bytes_out=1830.5 if scenario.endswith("list") else 310.0,
        per_second=around(0.9e6 / cpu, 0.03),
        p50_ms=cpu / 70,
        p90_ms=cpu / 48,
        p99_ms=None if scenario == "documents.create_many" else cpu / 22,
        against_baseline=None
        if arm == "asyncpg"
        else compared(ratio, noise=math.inf if scenario == "dashboard" else 0.022),
        doubts=[Doubt.NOISY, Doubt.WIDE] if (arm, scenario) == ("sqlalchemy", "users.create") else [],
    )


def cells(scenarios: list[str]) -> list[Cell]:
    found = []
    for place, scenario in enumerate(scenarios):
        for number, (arm, ratio) in enumerate(SERVICES.items()):
            drifted = 1.0 if arm == "asyncpg" else ratio * (1 + 0.09 * math.sin(place + number))
            if arm == "tortoise":
                found.append(Cell(arm=arm, scenario=scenario, missing="2 tests of the contract failed"))
            elif (arm, scenario) == ("motor", "documents.transfer"):
                found.append(Cell(arm=arm, scenario=scenario, missing=WRONG_ANSWER, compared=64, wrong=2))
            else:
                found.append(measured(arm, scenario, drifted, number))
        found.append(measured(TWIN, scenario, 1.01 if place % 2 else 0.99, 0))
        found.append(Cell(arm="rivals", scenario=scenario, missing=Doubt.NO_CPU.value))
        for number, floor in enumerate(FLOORED.get(scenario, ())):
            found.append(measured(floor, scenario, 0.42 + 0.2 * number, number))
    return found


def arm(name: str, kind: Literal["service", "again", "floor", "url"], backend: str | None) -> Arm:
    failed = name == "tortoise"
    failures = [
        Failure(test="test_users.py::test_email_is_unique[tortoise]", clauses=["USR-2"], message=NASTY),
        Failure(test="test_transfer", clauses=["DOC-8", "GEN-11"], message="409 expected, 200"),
    ]
    return Arm(
        name=name,
        title=f"Assay on {name}",
        kind=kind,
        backend=backend,
        layer=backend or "none",
        database="mongodb" if "motor" in name else "postgresql",
        alarms=["pool limit: 20, the others 10"] if name == "sqlalchemy" else [],
        failures=failures if failed else [],
        excluded="2 tests of the contract failed" if failed else None,
    )


def arms() -> list[Arm]:
    return [
        *(arm(name, "service", name) for name in SERVICES),
        arm("rivals", "url", None),
        arm(TWIN, "again", "asyncpg"),
        *(arm(name, "floor", None) for name in FLOORS),
    ]


def parity() -> list[Property]:
    def line(name: str, values: dict[str, str | None], declared: str | None = None) -> Property:
        return Property(name=name, values=values, declared=declared, differs=len(set(values.values())) > 1)

    def all_of(value: str, **others: str | None) -> dict[str, str | None]:
        return {**dict.fromkeys([*SERVICES, TWIN], value), **others}

    return [
        line("workers", all_of("1")),
        line("pool limit", all_of("10", sqlalchemy="20")),
        line("event loop", all_of("uvloop", sqlalchemy=NASTY)),
        line("server", all_of("postgresql 18.1", motor="mongodb 6.0.5"), "the layer's own database"),
        line("indexes", all_of("documents(owner_id, created_at, id) " * 4)),
        line("fsync", all_of("on", motor=None), "has a journal instead"),
    ]


def contents() -> list[Content]:
    held = {"users": "10,000 rows, 4f1c22aa", "documents": "50,000 rows, 9b0e71c3"}
    lost = held | {"documents": "49,998 rows, 11aa90ce"}
    return [
        Content(backend=name, before=held, after=after, expected=after == held, because=because)
        for name, after, because in (
            ("asyncpg", held, "nothing was left behind"),
            ("motor", lost, f"2 documents fewer than the measurements had to leave {NASTY}"),
        )
    ]


def operation(name: str, statements: int = 1) -> Operation:
    body = f'async def {name.partition(".")[2]}(self, key: UUID) -> User:\n    """{NASTY}"""\n'
    statement = '\n_GET = f"SELECT {_COLUMNS} FROM users WHERE id = $1"  # 1 < 2 & 3\n'
    found = [
        Implementation(
            backend=backend,
            file=f"{backend}_service/users.py",
            line=40 + number,
            lines=4 + number,
            source=body
            + "    return await self._conn.fetchrow(_GET, key, 42)\n" * (number + statements)
            + statement,
        )
        for number, backend in enumerate(SERVICES)
        if (backend, name) != ("motor", "documents.transfer")
    ]
    return Operation(name=name, promise="The user. Raises NotFound. USR-3", implementations=found)


def clause_results() -> list[ClauseResult]:
    families = {"GEN": 14, "USR": 9, "DOC": 8, "DSH": 2, "OPS": 2}
    names = [f"{family}-{number}" for family, count in families.items() for number in range(1, count + 1)]
    return [
        ClauseResult(clause=name, backends={one: _came_out(one, name) for one in SERVICES}) for name in names
    ]


def _came_out(backend: str, clause: str) -> Literal["passed", "failed", "gap", "not run"]:
    if backend == "tortoise" and clause in {"USR-2", "DOC-8", "GEN-11"}:
        return "failed"
    if backend == "motor":
        return "not run" if clause == "OPS-2" else "gap" if clause == "DSH-2" else "passed"
    return "passed"


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


def method() -> Method:
    return Method(
        slices=4,
        slice_seconds=0.15,
        warm_up_seconds=0.5,
        budget_seconds=180.0,
        precision=0.05,
        confidence=0.95,
        practical=0.03,
        users=10_000,
        documents=50_000,
        workload=f'name = "mostly reads"\n# {NASTY}\n[weights]\n"users.get" = 95\n"documents.patch" = 5\n',
    )


def scenario(name: str) -> Scenario:
    return Scenario(
        name=name,
        title=f"One {name} as the contract has it",
        operation="dashboard" if name == "dashboard" else name,
        clauses=["DOC-2", "GEN-10"],
        example=f"GET /documents?where={NASTY}",
        connections=16,
        floor=name in FLOORED,
    )


def judgement() -> Judgement:
    return Judgement(
        headline="asyncpg needs the least service CPU in 5 of 9 scenarios; "
        "sqlalchemy 2.2–2.6 ×, motor 0.9–1.1 × as much.",
        reasons=[
            "asyncpg needs the least in documents.list, users.create.",
            "tortoise has no figures: 2 tests of the contract failed",
            f"motor has no figures in documents.transfer: {WRONG_ANSWER}",
        ],
        limits=[
            "One machine: AMD EPYC 7763, 2 cores, which the load shares with what it measures.",
            "No network between service and database: where there is one, each round trip costs more.",
        ],
    )


def build(names: list[str] | None = None) -> Results:
    """`names` are the scenarios, those of `SCENARIOS` if not given."""
    held = list(SCENARIOS) if names is None else names
    found = cells(held)
    figures = parts(held[:3])
    return Results(
        format=FORMAT,
        started_at="2026-11-22T10:00:00Z",
        seconds=171.3,
        command="assay compare --quick --output out",
        seed=7,
        baseline="asyncpg",
        twin_of="asyncpg",
        environment=environment(),
        method=method(),
        arms=arms(),
        scenarios=[scenario(name) for name in held],
        cells=found,
        noise=[
            Noise(scenario=name, comparison=compared(1.01, 0.012) if name != "dashboard" else None)
            for name in held
        ],
        parity=parity(),
        contents=contents(),
        conformance=clause_results(),
        operations=[
            operation(name)
            for name in (
                "users.get",
                "documents.get",
                "documents.transfer",
                "dashboard.totals",
                "dashboard.top_tags",
            )
        ],
        doubts=[Doubt.NOISY, Doubt.TOO_FEW],
        judgement=judgement(),
        decision=decision(found, arms(), figures),
        **figures,
    )
