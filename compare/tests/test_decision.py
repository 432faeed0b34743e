"""Weights and limits: who is recommended, when that is withheld, and what would flip it."""

import math
from collections.abc import Sequence

import pytest

from assay.judge.criteria import Measured
from assay.judge.decision import PENALTY, decide, weights_of
from assay.judge.requirements import FORMS, limit
from assay.report.care import Candidate, LayerCode
from assay.report.decision import Decision
from assay.report.figures import Capacity, Footprint, Latency, Percentile
from assay.report.model import Arm, Cell, Comparison
from assay.report.part import Interval
from assay.stand import StandError


def around(value: float, spread: float = 0.01) -> Interval:
    return Interval(value=value, low=value * (1 - spread), high=value * (1 + spread))


def arm(name: str, database: str | None = "postgresql") -> Arm:
    return Arm.model_validate(
        {
            "name": name,
            "title": name,
            "kind": "service",
            "backend": name,
            "layer": name,
            "database": database,
            "alarms": [],
            "failures": [],
            "excluded": None,
        }
    )


def cell(name: str, ratio: float, spread: float = 0.01) -> Cell:
    against = Comparison(ratio=around(ratio, spread), rounds=20, verdict="worse")
    return Cell(
        arm=name,
        scenario="users.get",
        missing=None,
        service_cpu=around(100 * ratio),
        database_cpu=around(50),
        against_baseline=None if name == "asyncpg" else against,
    )


def measured(
    *,
    cells: Sequence[Cell] = (),
    latencies: Sequence[Latency] = (),
    capacities: Sequence[Capacity] = (),
    footprints: Sequence[Footprint] = (),
    code: Sequence[LayerCode] = (),
) -> Measured:
    return Measured(cells, latencies, capacities, footprints, code, changes=(), baseline="asyncpg")


def decided(
    found: Measured, *texts: str, weights: str | None = None, names: str = "asyncpg motor"
) -> Decision:
    arms = [arm(name, "mongodb" if name == "motor" else "postgresql") for name in names.split()]
    return decide(found, arms, [], weights_of(weights), [limit(text) for text in texts])


def latency(name: str, ms: float, rate: float = 500.0) -> Latency:
    told = Percentile(percentile=99.0, ms=ms, low_ms=ms * 0.9, high_ms=ms * 1.1)
    return Latency(arm=name, scenario="users.get", missing=None, per_second=rate, percentiles=[told])


def footprint(name: str, mib: float) -> Footprint:
    return Footprint(arm=name, missing=None, peak_bytes=int(mib * 2**20))


def test_the_cheapest_in_what_counts_is_recommended_with_its_margin() -> None:
    found = decided(measured(cells=[cell("asyncpg", 1.0), cell("motor", 2.0)]), weights="cpu=1,database=0")
    assert found.recommended == "asyncpg"
    assert found.margin is not None
    assert found.margin.value == pytest.approx(2.0)
    assert found.margin.low < 2.0 < found.margin.high


def test_overlapping_intervals_withhold_the_recommendation() -> None:
    close = [cell("asyncpg", 1.0), cell("motor", 1.08, spread=0.1)]
    found = decided(measured(cells=close), weights="cpu=1,database=0")
    assert found.recommended is None
    assert found.withheld is not None
    assert "overlap" in found.withheld


def test_a_lead_too_small_to_act_on_is_withheld() -> None:
    close = [cell("asyncpg", 1.0, 0.001), cell("motor", 1.02, spread=0.001)]
    found = decided(measured(cells=close), weights="cpu=1,database=0")
    assert found.recommended is None
    assert "within 3 %" in (found.withheld or "")


def test_the_flip_is_the_weight_at_which_the_scores_meet() -> None:
    found = measured(
        cells=[cell("asyncpg", 1.0), cell("motor", 2.0)],
        footprints=[footprint("asyncpg", 200), footprint("motor", 100)],
    )
    before = decided(found, weights="cpu=2,database=0,memory=1,latency=0,capacity=0,code=0,change=0")
    assert before.recommended == "asyncpg"
    flip = next(one for one in before.flips if one.criterion == "memory")
    assert flip.to == "motor"
    assert flip.flips_at == pytest.approx(2.0)
    after = decided(found, weights="cpu=2,database=0,memory=2.2,latency=0,capacity=0,code=0,change=0")
    assert after.recommended == "motor"


def test_a_missing_figure_counts_as_the_worst_of_the_others_times_the_penalty() -> None:
    found = measured(footprints=[footprint("asyncpg", 100), footprint("motor", 200)])
    scores = decided(found, names="asyncpg motor tortoise").scores
    by_arm = {one.arm: one.score.value for one in scores}
    assert by_arm == pytest.approx({"asyncpg": 1.0, "motor": 2.0, "tortoise": 2.0 * PENALTY})


def test_a_limit_that_is_broken_takes_an_arm_out_however_good_it_is() -> None:
    found = measured(cells=[cell("asyncpg", 1.0), cell("motor", 2.0)])
    decision = decided(found, "must be MongoDB", weights="cpu=1")
    assert decision.recommended == "motor"
    assert [(one.arm, one.fit) for one in decision.scores] == [("asyncpg", False), ("motor", True)]


def test_where_no_arm_keeps_the_limits_nothing_is_recommended() -> None:
    found = measured(cells=[cell("asyncpg", 1.0), cell("motor", 2.0)])
    decision = decided(found, "p99 < 20 ms at 500/s")
    assert decision.recommended is None
    assert "p99 < 20 ms at 500/s" in (decision.withheld or "")


@pytest.mark.parametrize(
    ("ms", "rate", "holds"),
    [(10.0, 500.0, "yes"), (30.0, 500.0, "no"), (19.0, 500.0, "unknown"), (10.0, 400.0, "unknown")],
)
def test_a_latency_limit_holds_only_with_its_whole_interval_at_its_rate(
    ms: float, rate: float, holds: str
) -> None:
    found = measured(latencies=[latency("asyncpg", ms, rate)])
    (requirement,) = decided(found, "p99 < 20 ms at 500/s", names="asyncpg").requirements
    assert requirement.holds == {"asyncpg": holds}
    assert requirement.because["asyncpg"]


def test_a_capacity_limit_is_unknown_within_the_bracket() -> None:
    rate = Interval(value=900, low=800, high=1_000)
    found = measured(
        capacities=[Capacity(arm="asyncpg", scenario="s", missing=None, target_ms=50, per_second=rate)]
    )
    asked = {
        text: decided(found, text, names="asyncpg").requirements[0].holds["asyncpg"]
        for text in ("capacity > 700/s", "capacity > 900/s", "capacity > 1000/s")
    }
    assert list(asked.values()) == ["yes", "unknown", "no"]


def test_a_library_that_ended_is_not_maintained() -> None:
    ended = Candidate(
        backend="motor",
        distribution="motor",
        version="3.7.1",
        released="2025-05-14",
        age_days=557,
        status="stable",
        end_of_life="2026-05-14",
        maintained=False,
        note="use PyMongo's own asyncio",
        source="its documentation",
    )
    found = decide(measured(), [arm("motor", "mongodb")], [ended], weights_of(None), [limit("maintained")])
    assert found.requirements[0].holds == {"motor": "no"}
    assert "PyMongo" in found.requirements[0].because["motor"]


def test_code_counts_by_its_lines() -> None:
    code = [
        LayerCode(
            backend=name,
            files=9,
            lines=lines,
            complexity=1,
            findings=0,
            untyped=0,
            dependencies=[],
            install_bytes=2**20,
            operations=[],
        )
        for name, lines in (("asyncpg", 1_000), ("motor", 1_500))
    ]
    scores = {one.arm: one.score.value for one in decided(measured(code=code), weights="code=1").scores}
    # both install as much, which counts a third as much as code
    assert scores["motor"] == pytest.approx(math.exp(math.log(1.5) / 1.5))


@pytest.mark.parametrize("text", ["p99 < fast", "must be Oracle", "", "p98 < 2 ms at 5/s"])
def test_what_is_no_limit_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(StandError, match="capacity > 800/s"):
        limit(text)


@pytest.mark.parametrize("text", FORMS)
def test_every_form_that_is_offered_is_taken(text: str) -> None:
    assert limit(text).text == text


@pytest.mark.parametrize("text", ["speed=1", "cpu=", "cpu=-1", "cpu 3"])
def test_weights_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(StandError, match="cpu=3"):
        weights_of(text)


def test_all_weights_zero_decide_nothing_and_are_refused() -> None:
    zeros = ",".join(f"{name}=0" for name in weights_of(None))
    with pytest.raises(StandError, match="above 0"):
        weights_of(zeros)
