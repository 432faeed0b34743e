"""Figures beside the cost of a request, code and care, and the decision that the evidence comes to."""

import math
from collections.abc import Sequence
from typing import TypedDict

from assay.judge.criteria import Measured
from assay.judge.decision import decide, weights_of
from assay.judge.requirements import limit
from assay.report.care import Candidate, Change, LayerCode, OperationCode
from assay.report.decision import Decision
from assay.report.figures import (
    Capacity,
    Delay,
    Footprint,
    Growth,
    GrowthPoint,
    Latency,
    Percentile,
    Split,
    Step,
)
from assay.report.model import Arm, Cell
from assay.report.part import Interval

SERVICES = {"asyncpg": 1.0, "sqlalchemy": 2.4, "tortoise": 1.9, "motor": 1.02}
MEASURED = {"asyncpg": 1.0, "sqlalchemy": 2.4, "motor": 1.02, "rivals": 1.4}
LIMITS = ("p99 < 20 ms at 500/s in users.get", "memory < 200 MiB")


class Parts(TypedDict):
    latencies: list[Latency]
    capacities: list[Capacity]
    splits: list[Split]
    footprints: list[Footprint]
    growth: list[Growth]
    delays: list[Delay]
    code: list[LayerCode]
    changes: list[Change]
    candidates: list[Candidate]


def around(value: float, spread: float = 0.015) -> Interval:
    return Interval(value=value, low=value * (1 - spread), high=value * (1 + spread))


def percentile(at: float, ms: float, spread: float = 0.04) -> Percentile:
    return Percentile(percentile=at, ms=ms, low_ms=ms * (1 - spread), high_ms=ms * (1 + spread))


def _ms(ratio: float, at: float) -> float:
    return 1.4 * ratio * math.exp(0.75 * -math.log10(1 - at / 100))


def latency(arm: str, scenario: str, ratio: float) -> Latency:
    if arm == "motor" and scenario != "users.get":
        return Latency(arm=arm, scenario=scenario, missing="the generator could not keep up at 500/s")
    earned = (50.0, 90.0, 99.0, 99.9)[: 3 if arm == "sqlalchemy" else 4]
    return Latency(
        arm=arm,
        scenario=scenario,
        missing=None,
        per_second=500.0,
        samples=4_200 if arm == "sqlalchemy" else 14_800,
        errors=2 if arm == "rivals" else 0,
        percentiles=[percentile(at, _ms(ratio, at), 0.02 * (number + 1)) for number, at in enumerate(earned)],
        max_ms=_ms(ratio, 99.99),
        curve=[(at, _ms(ratio, at)) for at in (100 * (1 - 10 ** (-number / 60)) for number in range(240))],
        histogram="HISTFAAAABx4nJNpmSzMwMDAyAABzFCaEUoz2X+AMgA=",
    )


def capacity(arm: str, scenario: str, ratio: float) -> Capacity:
    if arm == "rivals":
        return Capacity(
            arm=arm, scenario=scenario, missing="the budget ended before the search", target_ms=50.0
        )
    top = 5_200 / ratio
    steps = [
        Step(
            per_second=top * share,
            samples=round(top * share * 4),
            errors=0,
            p99_ms=None if share > 1.2 else 3.5 * ratio / (1.06 - min(share, 1.04)),
            kept=None if share > 1.2 else share <= 1,
        )
        for share in (0.3, 1.3, 0.6, 0.8, 0.95, 1.03)
    ]
    return Capacity(
        arm=arm,
        scenario=scenario,
        missing=None,
        target_ms=50.0,
        per_second=Interval(value=top * 0.99, low=top * 0.95, high=top * 1.03),
        steps=steps,
    )


def split(arm: str, scenario: str, ratio: float) -> Split:
    if arm == "rivals":
        return Split(
            arm=arm, scenario=scenario, missing="no CPU figures: the process cannot be read from here"
        )
    apart = arm != "motor"
    return Split(
        arm=arm,
        scenario=scenario,
        missing=None,
        framework=62.0,
        driver=31.0 if apart else None,
        layer=70 * ratio - 20 + (0 if apart else 31),
        database=58.0 + 20 * ratio,
        waiting=410.0 if apart else None,
        joined=[] if apart else ["driver"],
    )


def footprint(arm: str, ratio: float) -> Footprint:
    if arm == "rivals":
        return Footprint(arm=arm, missing="the process cannot be read from here")
    return Footprint(
        arm=arm,
        missing=None,
        import_seconds=0.31 * ratio,
        start_seconds=0.6 * ratio,
        idle_bytes=round(61e6 * ratio),
        peak_bytes=round(97e6 * ratio),
        after_bytes=round(88e6 * ratio),
        loop_lag_ms=None if arm == "motor" else 2.4 * ratio,
    )


def growth(arm: str, ratio: float) -> Growth:
    operation = "documents.list"
    if arm == "rivals":
        return Growth(
            arm=arm, operation=operation, missing="no CPU figures: the process cannot be read from here"
        )
    sizes = (1, 10, 100, 1_000) if arm != "motor" else (1, 10, 100)
    points = [
        GrowthPoint(
            rows=rows,
            service_cpu=around(120 * ratio + 6.5 * rows * ratio, 0.05),
            database_cpu=around(50 + rows),
        )
        for rows in sizes
    ]
    return Growth(arm=arm, operation=operation, missing=None, points=points)


def delays(arm: str, scenario: str, ratio: float) -> list[Delay]:
    if arm == "rivals":
        return [Delay(arm=arm, scenario=scenario, missing="its database is not known", asked_ms=1.0)]
    trips = 3.0 if ratio > 2 else 1.0
    return [
        Delay(
            arm=arm,
            scenario=scenario,
            missing=None,
            asked_ms=asked,
            added_ms=asked * 1.04,
            requests=2_400,
            round_trips=trips,
            p50_ms=percentile(50.0, 1.4 * ratio + 1.07 * trips * asked, 0.05),
            predicted_ms=1.4 * ratio + trips * asked * 1.04,
            service_cpu=around(130 * ratio),
        )
        for asked in (0.0, 1.0, 5.0)
    ]


def layer_code(backend: str, ratio: float) -> LayerCode:
    return LayerCode(
        backend=backend,
        files=13,
        lines=round(1_240 / ratio),
        complexity=round(212 / ratio),
        findings=None if backend == "tortoise" else round(3 * ratio),
        untyped=round(4 * ratio),
        dependencies=["greenlet", "sqlalchemy"] if backend == "sqlalchemy" else [backend],
        install_bytes=round(9.3e6 * ratio),
        operations=[
            OperationCode(operation=name, lines=round(18 / ratio) + 4, complexity=3, untyped=int(ratio > 2))
            for name in ("users.get", "documents.list", "documents.transfer")
            if (backend, name) != ("motor", "documents.transfer")
        ],
    )


def changes(backend: str, ratio: float) -> list[Change]:
    asked = {"field": "Add a field, with a migration", "filter": "Add a filter", "relation": "Add a relation"}
    return [
        Change(
            request=request,
            title=title,
            backend=backend,
            added=round(31 / ratio) + 6 * number,
            removed=number,
            files=[f"src/{backend}_service/models.py", f"src/{backend}_service/documents.py"],
            steps=["Write the migration", "Run it before the rollout"],
        )
        for number, (request, title) in enumerate(asked.items())
        if (backend, request) != ("tortoise", "relation")
    ]


def candidates() -> list[Candidate]:
    def one(backend: str, version: str, end: str | None, note: str) -> Candidate:
        return Candidate(
            backend=backend,
            distribution=backend,
            version=version,
            released="2026-09-04" if end is None else "2025-05-14",
            age_days=79 if end is None else 557,
            status="beta" if backend == "tortoise" else "stable",
            end_of_life=end,
            maintained=end is None,
            note=note,
            source="the metadata of the installed distribution",
        )

    return [
        one("asyncpg", "0.32.0", None, "One driver, one database."),
        one("sqlalchemy", "2.1.0", None, "Its 2.0 line is kept beside it."),
        one("tortoise", "1.2.0", None, "Named a beta by its authors."),
        one("motor", "3.7.1", "2026-05-14", "PyMongo's own asynchronous client takes its place."),
    ]


def parts(scenarios: Sequence[str]) -> Parts:
    return Parts(
        latencies=[latency(arm, name, ratio) for name in scenarios for arm, ratio in MEASURED.items()],
        capacities=[capacity(arm, scenarios[0], ratio) for arm, ratio in MEASURED.items()],
        splits=[split(arm, scenarios[0], ratio) for arm, ratio in MEASURED.items()],
        footprints=[footprint(arm, ratio) for arm, ratio in MEASURED.items()],
        growth=[growth(arm, ratio) for arm, ratio in MEASURED.items()],
        delays=[one for arm, ratio in MEASURED.items() for one in delays(arm, scenarios[0], ratio)],
        code=[layer_code(backend, ratio) for backend, ratio in SERVICES.items()],
        changes=[one for backend, ratio in SERVICES.items() for one in changes(backend, ratio)],
        candidates=candidates(),
    )


def decision(
    cells: Sequence[Cell], arms: Sequence[Arm], figures: Parts, weights: str | None = None
) -> Decision:
    measured = Measured(
        cells=cells,
        latencies=figures["latencies"],
        capacities=figures["capacities"],
        footprints=figures["footprints"],
        code=figures["code"],
        changes=figures["changes"],
        baseline="asyncpg",
    )
    limits = [limit(text) for text in LIMITS]
    return decide(measured, arms, figures["candidates"], weights_of(weights), limits)
