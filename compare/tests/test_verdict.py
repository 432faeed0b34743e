"""The words of the verdict, on figures of which the truth is known."""

import math
from collections.abc import Mapping
from typing import Literal

import pytest

from assay.judge.verdict import judge
from assay.measure.statistics import Ratio, noise_floor, verdict
from assay.report.model import (
    Arm,
    Cell,
    Comparison,
    Database,
    Environment,
    Judgement,
    Method,
    Noise,
    Scenario,
)
from assay.report.part import Interval

Ratios = Mapping[str, float]
METHOD = Method(
    slices=4,
    slice_seconds=0.15,
    warm_up_seconds=0.5,
    budget_seconds=60,
    precision=0.05,
    confidence=0.95,
    practical=0.03,
    users=10,
    documents=50,
    workload=None,
)


def environment(source: Literal["embedded", "url"] = "embedded") -> Environment:
    return Environment(
        platform="Linux",
        python="3.11",
        cpus=2,
        cpu_model="EPYC",
        memory_bytes=1,
        databases=[Database(kind="postgresql", version="18", source=source, settings={})],
        versions={},
    )


def around(value: float, spread: float) -> Interval:
    return Interval(value=value, low=value / spread, high=value * spread)


def compared(ratio: float, spread: float, noise: float) -> Comparison:
    found = around(ratio, spread)
    word = verdict(Ratio(found.value, found.low, found.high, 10), noise)
    return Comparison(ratio=found, rounds=10, verdict=word.value)


def arm(name: str, excluded: str | None = None) -> Arm:
    return Arm(
        name=name,
        title=name,
        kind="floor" if name.startswith("floor") else "service",
        backend=name,
        layer=name,
        database="postgresql",
        alarms=[],
        failures=[],
        excluded=excluded,
    )


def judged(
    figures: Mapping[str, Ratios],
    *,
    noise: float | None = 1.02,
    spread: float = 1.01,
    missing: Mapping[tuple[str, str], str] | None = None,
    excluded: Mapping[str, str] | None = None,
    source: Literal["embedded", "url"] = "embedded",
) -> Judgement:
    """`figures` are ratios to `asyncpg` by scenario and arm; `noise` is the end of the A/A interval."""
    twins = None if noise is None else compared(1.0, noise, 0.0)
    floor = math.inf if noise is None else noise_floor(Ratio(1.0, 1 / noise, noise, 10))
    cells = [
        Cell(
            arm=name,
            scenario=scenario,
            missing=None,
            service_cpu=around(100 * ratio, spread),
            database_cpu=around(50, spread),
            against_baseline=None if name == "asyncpg" else compared(ratio, spread, floor),
        )
        for scenario, ratios in figures.items()
        for name, ratio in ratios.items()
    ]
    cells += [
        Cell(arm=name, scenario=scenario, missing=reason)
        for (name, scenario), reason in (missing or {}).items()
    ]
    names = dict.fromkeys(cell.arm for cell in cells)
    return judge(
        cells,
        [Noise(scenario=scenario, comparison=twins) for scenario in figures],
        [arm(name, (excluded or {}).get(name)) for name in [*names, *(excluded or {})]],
        [
            Scenario(
                name=scenario,
                title="",
                operation=scenario,
                clauses=[],
                example="",
                connections=16,
                floor=False,
            )
            for scenario in figures
        ],
        baseline="asyncpg",
        method=METHOD,
        environment=environment(source),
    )


def test_a_layer_that_needs_the_least_in_most_scenarios_leads() -> None:
    found = judged(
        {
            "users.get": {"asyncpg": 1.0, "sqlalchemy": 2.1, "motor": 1.4},
            "users.create": {"asyncpg": 1.0, "sqlalchemy": 3.4, "motor": 1.01},
            "documents.get": {"asyncpg": 1.0, "sqlalchemy": 2.5, "motor": 2.0},
        }
    )
    assert found.headline == (
        "asyncpg needs the least service CPU in 2 of 3 scenarios; "
        "motor 1.0–2.0 ×, sqlalchemy 2.1–3.4 × as much."
    )
    assert "asyncpg needs the least in users.get, documents.get." in found.reasons
    assert any("users.create (asyncpg or motor)" in reason for reason in found.reasons)


def test_another_than_the_baseline_can_lead() -> None:
    found = judged(
        {"users.get": {"asyncpg": 1.0, "motor": 0.5}, "users.create": {"asyncpg": 1.0, "motor": 0.4}}
    )
    assert (
        found.headline == "motor needs the least service CPU in 2 of 2 scenarios; asyncpg 2.0–2.5 × as much."
    )


@pytest.mark.parametrize(
    ("spread", "noise"),
    [(1.18, 1.02), (1.01, 1.25), (1.01, None)],
    ids=["intervals overlap", "the A/A noise covers it", "no A/A arm"],
)
def test_what_is_not_apart_is_not_ranked(spread: float, noise: float | None) -> None:
    ratios = {"asyncpg": 1.0, "sqlalchemy": 1.2, "tortoise": 1.2}
    found = judged({"users.get": ratios, "users.create": ratios}, spread=spread, noise=noise)
    assert found.headline == (
        "The evidence does not decide: in none of 2 scenarios does one layer need the least service CPU."
    )
    assert not any("needs the least in" in reason for reason in found.reasons)


def test_two_that_are_not_the_baseline_are_told_apart_by_their_intervals() -> None:
    apart = {"asyncpg": 3.0 / 3, "motor": 0.5, "tortoise": 0.7}
    near = {"asyncpg": 1.0, "motor": 0.5, "tortoise": 0.51}
    found = judged({"users.get": apart, "users.create": near})
    assert "motor needs the least in users.get." in found.reasons
    assert any("users.create (motor or tortoise)" in reason for reason in found.reasons)


def test_no_majority_is_no_decision() -> None:
    found = judged(
        {
            "users.get": {"asyncpg": 1.0, "motor": 2.0},
            "users.create": {"asyncpg": 1.0, "motor": 0.5},
            "dashboard": {"asyncpg": 1.0, "motor": 1.01},
        }
    )
    assert found.headline == (
        "The evidence does not decide: asyncpg needs the least service CPU in 1 of 3 scenarios, motor in 1; "
        "1 cannot be told."
    )


def test_what_was_withheld_is_named_and_counts_for_nobody() -> None:
    found = judged(
        {"users.get": {"asyncpg": 1.0, "motor": 2.0}},
        missing={
            ("motor", "dashboard"): "its answers differ",
            ("floor-http", "users.get"): "no such operation",
        },
        excluded={"tortoise": "3 tests of the contract failed"},
    )
    assert "motor has no figures in dashboard: its answers differ" in found.reasons
    assert "tortoise has no figures: 3 tests of the contract failed" in found.reasons
    assert not any("floor-http" in reason for reason in found.reasons)


def test_floors_are_no_candidates() -> None:
    found = judged({"users.get": {"asyncpg": 1.0, "motor": 1.5, "floor-http": 0.2}})
    assert found.headline == "asyncpg needs the least service CPU in 1 of 1 scenario; motor 1.5 × as much."


def test_one_layer_alone_is_compared_with_nothing() -> None:
    assert (
        judged({"users.get": {"asyncpg": 1.0}}).headline == "Nothing to compare: asyncpg alone has figures."
    )
    nothing = judged({"users.get": {}}, excluded={"asyncpg": "failed"})
    assert nothing.headline == "The evidence does not decide: no layer has figures."


def test_the_limits_say_what_was_not_covered() -> None:
    limits = " ".join(judged({"users.get": {"asyncpg": 1.0, "motor": 1.5}}).limits)
    for told in (
        "One machine: EPYC, 2 cores",
        "A closed loop",
        "50 documents",
        "up to 2.0 % apart (users.get)",
    ):
        assert told in limits
    assert "No network" in limits
    assert "No network" not in " ".join(judged({"users.get": {"asyncpg": 1.0}}, source="url").limits)
