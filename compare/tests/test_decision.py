"""Weights and limits: who is recommended, when that is withheld, and what would flip it."""

import math
from collections.abc import Sequence

import pytest

from assay.judge.criteria import Measured
from assay.judge.decision import PENALTY, decide, unfit, weights_of
from assay.judge.requirements import FORMS, limit
from assay.measure.latency import ONE_OF_THREE
from assay.report.care import Candidate, LayerCode
from assay.report.decision import Decision
from assay.report.figures import Capacity, Footprint, Latency, Percentile
from assay.report.model import Arm, Cell, Comparison
from assay.report.part import Interval
from assay.stand import StandError


def around(value: float, spread: float = 0.01) -> Interval:
    return Interval(value=value, low=value * (1 - spread), high=value * (1 + spread))


def arm(name: str, database: str | None = "postgresql", kind: str = "service") -> Arm:
    return Arm.model_validate(
        {
            "name": name,
            "title": name,
            "kind": kind,
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


def latency(name: str, ms: float, rate: float = 500.0, scenario: str = "users.get") -> Latency:
    told = Percentile(percentile=99.0, ms=ms, low_ms=ms * 0.9, high_ms=ms * 1.1)
    return Latency(arm=name, scenario=scenario, missing=None, per_second=rate, percentiles=[told])


def footprint(name: str, mib: float) -> Footprint:
    return Footprint(arm=name, missing=None, peak_bytes=int(mib * 2**20))


def code(backend: str, lines: int) -> LayerCode:
    return LayerCode(
        backend=backend,
        files=9,
        lines=lines,
        complexity=1,
        findings=0,
        untyped=0,
        dependencies=[],
        install_bytes=2**20,
        operations=[],
    )


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
    found = measured(
        footprints=[footprint("asyncpg", 100), footprint("motor", 200)],
        latencies=[latency(name, 10) for name in ("asyncpg", "motor", "tortoise")],
    )
    scores = decided(found, names="asyncpg motor tortoise", weights="latency=0").scores
    by_arm = {one.arm: one.score.value for one in scores}
    assert by_arm == pytest.approx({"asyncpg": 1.0, "motor": 2.0, "tortoise": 2.0 * PENALTY})


def test_an_arm_of_which_nothing_was_measured_has_no_score_and_the_reason_is_told() -> None:
    lost = Cell(arm="mine", scenario="users.get", missing="lost under load: connection refused")
    found = measured(
        cells=[cell("asyncpg", 1.0), cell("motor", 2.0), lost], code=[code("asyncpg", 9), code("mine", 1)]
    )
    arms = [arm("asyncpg"), arm("motor"), arm("mine", None, kind="url")]
    decision = decide(found, arms, [], weights_of(None), [])
    assert {one.arm for one in decision.scores} == {"asyncpg", "motor"}
    assert "connection refused" in decision.absent["mine"]
    assert any("mine has no score" in line and "connection refused" in line for line in decision.limits)
    # what it would have changed for the others stays as it is without it
    assert decision.left_out == []
    assert decision.scores == decide(found, arms[:2], [], weights_of(None), []).scores


def test_beside_an_arm_by_url_only_what_every_scored_arm_has_counts() -> None:
    found = measured(
        cells=[cell("asyncpg", 1.0), cell("motor", 2.0)],
        latencies=[latency("asyncpg", 10), latency("motor", 20), latency("mine", 5)],
        code=[code("asyncpg", 1_000), code("motor", 1_500)],
    )
    arms = [arm("asyncpg"), arm("motor"), arm("mine", None, kind="url")]
    decision = decide(found, arms, [], weights_of(None), [])
    assert decision.left_out == ["cpu", "database", "code", "install"]
    scores = {one.arm: one.score.value for one in decision.scores}
    assert scores == pytest.approx({"mine": 1.0, "asyncpg": 2.0, "motor": 4.0})
    assert decision.recommended == "mine"
    (told,) = [line for line in decision.limits if "Left out" in line]
    assert "CPU of the service" in told
    assert "Code of the layer" in told
    assert not any(f"{PENALTY} times" in line for line in decision.limits)
    assert decide(found, arms[:2], [], weights_of(None), []).left_out == []


def test_a_limit_that_is_broken_takes_an_arm_out_however_good_it_is() -> None:
    found = measured(cells=[cell("asyncpg", 1.0), cell("motor", 2.0)])
    decision = decided(found, "must be MongoDB", weights="cpu=1")
    assert decision.recommended == "motor"
    assert [(one.arm, one.fit) for one in decision.scores] == [("asyncpg", False), ("motor", True)]


def test_where_no_arm_keeps_the_limits_nothing_is_recommended() -> None:
    found = measured(cells=[cell("asyncpg", 1.0), cell("motor", 2.0)])
    decision = decided(found, "memory < 200 MiB", "p99 < 20 ms at 500/s", "mongodb")
    assert decision.recommended is None
    assert "p99 < 20 ms at 500/s" in (decision.withheld or "")


def test_a_limit_that_is_not_known_to_hold_is_not_said_to_be_broken() -> None:
    found = measured(cells=[cell("asyncpg", 1.0), cell("motor", 2.0)])
    decision = decided(found, "postgresql", "p99 < 20 ms at 500/s")
    assert (decision.withheld or "").startswith("No layer is known to keep every limit.")
    told = {one.arm: unfit(one.arm, decision.requirements) for one in decision.scores}
    assert told == {"asyncpg": "a limit is not known", "motor": "fails a limit"}
    assert (decided(found, "mongodb", names="asyncpg").withheld or "") == "No layer keeps every limit."


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


CHEAP = latency("asyncpg", 4.0)
SLOW_BELOW = latency("asyncpg", 25.0, 90.0, "documents.patch")


@pytest.mark.parametrize(
    ("of_patch", "holds", "named"),
    [
        pytest.param([], "yes", "users.get", id="it has no open loop"),
        pytest.param([SLOW_BELOW], "no", "documents.patch at 90/s", id="slower at less than the rate"),
        pytest.param(
            [latency("asyncpg", 19.0, 90.0, "documents.patch")], "unknown", "documents.patch", id="?"
        ),
        pytest.param(
            [latency("asyncpg", 5.0, 90.0, "documents.patch")],
            "unknown",
            "documents.patch: not measured at 500/s",
            id="fast, but at less than the rate",
        ),
        pytest.param(
            [latency("asyncpg", 19.0, 90, "documents.patch"), latency("asyncpg", 8, 500, "documents.patch")],
            "yes",
            "documents.patch at 500/s",
            id="fast at the rate",
        ),
        pytest.param(
            [Latency(arm="asyncpg", scenario="documents.patch", missing="the run was stopped before it")],
            "unknown",
            "documents.patch: the run was stopped",
            id="not measured",
        ),
        pytest.param(
            [
                Latency(
                    arm="asyncpg",
                    scenario="documents.patch",
                    missing="…",
                    per_second=500,
                    samples=900,
                    errors=9,
                )
            ],
            "no",
            "9 of 900 requests failed",
            id="it cannot take the rate",
        ),
        pytest.param(
            [Latency(arm="asyncpg", scenario="documents.patch", missing=None, per_second=500, samples=900)],
            "unknown",
            "documents.patch at 500/s: 900 requests are too few for p99",
            id="too few requests",
        ),
    ],
)
def test_a_latency_limit_holds_only_where_every_scenario_keeps_it(
    of_patch: Sequence[Latency], holds: str, named: str
) -> None:
    without = Latency(arm="asyncpg", scenario="documents.batch", missing=ONE_OF_THREE)
    found = measured(latencies=[CHEAP, *of_patch, without])
    (requirement,) = decided(found, "p99 < 20 ms at 500/s", names="asyncpg").requirements
    assert requirement.holds == {"asyncpg": holds}
    assert named in requirement.because["asyncpg"]


def test_a_latency_limit_that_names_a_scenario_is_held_against_it_alone() -> None:
    found = measured(latencies=[CHEAP, SLOW_BELOW])
    texts = [f"p99 < 20 ms at 500/s{name}" for name in ("", " in users.get", " in documents.patch")]
    held = decided(found, *texts, names="asyncpg").requirements
    assert [one.holds["asyncpg"] for one in held] == ["no", "yes", "no"]


def test_what_a_quick_run_leaves_out_is_told_once() -> None:
    left_out = [
        Latency(arm="asyncpg", scenario=name, missing="left out of a quick run") for name in ("a", "b")
    ]
    (requirement,) = decided(measured(latencies=left_out), "p99 < 20 ms at 500/s").requirements
    assert requirement.because["asyncpg"] == "no latency was measured: left out of a quick run"


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
    found = measured(code=[code("asyncpg", 1_000), code("motor", 1_500)])
    scores = {one.arm: one.score.value for one in decided(found, weights="code=1").scores}
    # both install as much, which counts a third as much as code
    assert scores["motor"] == pytest.approx(math.exp(math.log(1.5) / 1.5))


@pytest.mark.parametrize(
    "text", ["p99 < fast", "must be Oracle", "", "p98 < 2 ms at 5/s", "p99 < 2 ms at 0/s"]
)
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
