"""Doubts, each from rounds that give cause for it and from rounds that give none."""

from array import array
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.measure.cells import paired, why_missing
from assay.measure.doubts import doubts_of, drifts, throttled
from assay.measure.rounds import ArmRound
from assay.measure.samples import Samples
from assay.measure.statistics import Ratio, ratio
from assay.report.model import Doubt

QUIET = np.random.default_rng(1).lognormal(0, 0.02, 15)


def rounds(
    costs: Sequence[float] | NDArray[np.float64], *, void: int = 0, read: bool = True
) -> list[ArmRound]:
    """Ten answers in each round at so many µs; the first `void` slices were the generator's."""
    made = []
    for number, cost in enumerate(costs):
        is_void = number < void
        samples = Samples(sent=10, elapsed_ns=0 if is_void else 10**7)
        samples.statuses[200] = 10
        samples.latencies_ns = array("q", [] if is_void else [10**6] * 10)
        cpu_ns = 0 if is_void else int(cost * 10_000)
        made.append(ArmRound("arm", number, samples, cpu_ns if read else None, None, 1, int(is_void)))
    return made


def told(
    arm: list[ArmRound], baseline: list[ArmRound], precision: float | None = None, *, cold: bool = False
) -> list[Doubt]:
    logs = paired(arm, baseline)
    return doubts_of(arm, logs, ratio(logs), precision, cold=cold)


def test_quiet_rounds_give_no_doubt() -> None:
    assert told(rounds(100 * QUIET), rounds(90 * QUIET[::-1]), 0.05) == []


def test_a_slice_of_a_busy_generator_is_told_and_in_no_figure() -> None:
    arm = rounds(100 * QUIET, void=2)
    assert arm[0].service_cpu_us is None
    assert Doubt.GENERATOR_BUSY in told(arm, rounds(QUIET * 90))
    assert why_missing(arm, None) is None
    assert why_missing(rounds(QUIET, void=5), None) is None
    assert why_missing(rounds(QUIET, void=6), None) == "the generator could not keep up in 6 of 15 slices"


def test_noise_is_the_arms_own() -> None:
    noisy = 100 * np.random.default_rng(2).lognormal(0, 0.4, 15)
    assert Doubt.NOISY in told(rounds(noisy), rounds(QUIET))
    assert Doubt.NOISY not in told(rounds(QUIET), rounds(noisy))


@pytest.mark.parametrize(("slope", "found"), [(0.02, True), (-0.02, True), (0.001, False), (0, False)])
def test_a_drift_is_a_trend_that_comes_to_something(slope: float, found: bool) -> None:
    moving = QUIET * np.exp(slope * np.arange(15))
    assert (Doubt.DRIFT in told(rounds(100 * moving), rounds([100] * 15))) is found


def test_a_trend_is_seldom_seen_where_there_is_none() -> None:
    rng = np.random.default_rng(4)
    assert sum(drifts(rng.normal(0, 0.1, 20)) for _ in range(1_000)) <= 20


def test_a_machine_that_slows_down_does_so_for_all_arms() -> None:
    slowing = QUIET * np.linspace(1, 1.4, 15)
    assert throttled({"one": rounds(100 * slowing), "other": rounds(200 * slowing)})
    assert not throttled({"one": rounds(100 * slowing), "other": rounds(200 * QUIET)})
    assert not throttled({"one": rounds(100 * slowing)})


def test_few_rounds_wide_intervals_and_cold_arms_are_told() -> None:
    few = told(rounds(100 * QUIET[:7]), rounds(QUIET[7:14]), 0.0001, cold=True)
    assert {Doubt.TOO_FEW, Doubt.WIDE, Doubt.NOT_WARM} <= set(few)
    unpaired = told(rounds(100 * QUIET[:12]), rounds(QUIET[:12], void=4))
    assert unpaired == [Doubt.TOO_FEW]


def test_a_process_that_cannot_be_read_is_told_alone() -> None:
    assert told(rounds(QUIET, read=False), rounds(QUIET)) == [Doubt.NO_CPU]


def test_a_floors_interval_is_told_to_be_wide_as_any_other() -> None:
    wide = Ratio(1.0, 0.5, 2.0, 15)
    assert doubts_of(rounds(QUIET), None, wide, 0.05, cold=False) == [Doubt.WIDE]
    assert doubts_of(rounds(QUIET), None, wide, None, cold=False) == []


def test_an_arm_without_rounds_says_so() -> None:
    assert "not measured" in str(why_missing([], None))
