"""Statistics on seeded samples of which the truth is known."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.measure.statistics import (
    Percentiles,
    Ratio,
    Verdict,
    between,
    mean,
    noise_floor,
    paired_logs,
    percentiles,
    ratio,
    together,
    verdict,
    widened,
)


def rounds(
    factor: float, count: int, noise: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An arm and its baseline on a machine that drifts by half, with lognormal noise on each figure."""
    rng = np.random.default_rng(seed)
    drift = 1 + 0.5 * rng.random(count)
    return (
        factor * drift * rng.lognormal(0, noise, count),
        drift * rng.lognormal(0, noise, count),
    )


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 4.0])
def test_a_known_ratio_is_recovered_and_judged(factor: float) -> None:
    found = ratio(paired_logs(*rounds(factor, 20, 0.04, seed=11)))
    twins = ratio(paired_logs(*rounds(1.0, 20, 0.04, seed=12)))
    assert found is not None
    assert found.low <= factor <= found.high
    assert found.ratio == pytest.approx(factor, rel=0.05)
    expected = Verdict.BETTER if factor < 1 else Verdict.WORSE
    assert verdict(found, noise_floor(twins)) is expected
    turned = Verdict.WORSE if factor < 1 else Verdict.BETTER
    assert verdict(found, noise_floor(twins), lower_is_better=False) is turned


def test_twins_are_seldom_called_different() -> None:
    verdicts = []
    for seed in range(200):
        found = ratio(paired_logs(*rounds(1.0, 12, 0.06, seed=seed)))
        verdicts.append(verdict(found, noise=0.0))
    different = verdicts.count(Verdict.BETTER) + verdicts.count(Verdict.WORSE)
    assert different <= 10  # of 200: the interval may miss 5 %, and must clear the threshold besides


@pytest.mark.parametrize("count", [6, 12, 30])
def test_intervals_hold_the_truth_about_as_often_as_they_say(count: int) -> None:
    held = 0
    for seed in range(400):
        found = ratio(paired_logs(*rounds(1.5, count, 0.08, seed=1_000 + seed)))
        assert found is not None
        held += found.low <= 1.5 <= found.high
    assert 0.92 <= held / 400 <= 0.99


def family(count: int, noise: float, seed: int) -> list[NDArray[np.float64]]:
    """Four arms of 1.3 times the baseline's figure, all paired with the same baseline."""
    rng = np.random.default_rng(seed)
    baseline = rng.lognormal(0, noise, count)
    return [paired_logs(1.3 * rng.lognormal(0, noise, count), baseline) for _ in range(4)]


def intervals(arms: list[NDArray[np.float64]]) -> list[Ratio]:
    return [found for logs in arms if (found := ratio(logs, confidence=together(4))) is not None]


@pytest.mark.parametrize("count", [12, 30])
def test_intervals_of_several_arms_hold_the_truth_together(count: int) -> None:
    held = sum(
        all(found.low <= 1.3 <= found.high for found in intervals(family(count, 0.06, seed)))
        for seed in range(600)
    )
    assert held / 600 >= 0.93


def test_rounds_that_end_once_intervals_are_narrow_still_hold_the_truth() -> None:
    held = 0
    ended: list[int] = []
    for seed in range(400):
        arms = family(60, 0.05, seed)
        for count in range(10, 61):
            found = intervals([logs[:count] for logs in arms])
            if all(one.half_width <= 0.05 for one in found):
                break
        ended.append(count)
        held += all(one.low <= 1.3 <= one.high for one in found)
    assert held / 400 >= 0.93
    assert 10 < np.median(ended) < 60


def in_turns(seed: int, apart: float) -> list[NDArray[np.float64]]:
    """Ten rounds of a ratio of 1.3 in each of three turns, which are themselves apart."""
    rng = np.random.default_rng(seed)
    return [math.log(1.3) + rng.normal(0, apart) + rng.normal(0, 0.06, 10) for _ in range(3)]


def test_a_machine_that_changes_between_turns_is_in_the_interval() -> None:
    runs = [[in_turns(100 * run + scenario, 0.05) for scenario in range(11)] for run in range(60)]
    alone = held = 0
    for run in runs:
        usual = mean([between(turns) for turns in run])
        assert usual is not None
        for turns in run:
            found = ratio(np.concatenate(turns))
            assert found is not None
            wider = widened(found, turns, max(between(turns) or 0.0, usual), 0.95)
            alone += found.low <= 1.3 <= found.high
            held += wider.low <= 1.3 <= wider.high
    assert alone / 660 < 0.7
    assert 0.93 <= held / 660 <= 0.99


def test_turns_that_are_alike_widen_little() -> None:
    added = []
    for seed in range(200):
        turns = in_turns(seed, 0.0)
        found = ratio(np.concatenate(turns))
        assert found is not None
        added.append(widened(found, turns, between(turns), 0.95).half_width / found.half_width)
    assert np.median(added) < 1.05


def test_one_turn_says_nothing_of_others() -> None:
    [turn, *_] = in_turns(1, 0.1)
    found = ratio(turn)
    assert found is not None
    assert between([turn]) is None
    assert widened(found, [turn], mean([between([turn])]), 0.95) == found


def test_an_interval_is_wider_the_more_must_hold_together() -> None:
    logs = family(12, 0.05, seed=1)[0]
    alone, of_four = ratio(logs), ratio(logs, confidence=together(4))
    assert alone is not None
    assert of_four is not None
    assert of_four.low < alone.low < alone.ratio == of_four.ratio < alone.high < of_four.high


def test_swapped_arms_give_the_mirrored_ratio_and_verdict() -> None:
    arm, baseline = rounds(1.2, 20, 0.03, seed=3)
    forth, back = ratio(paired_logs(arm, baseline)), ratio(paired_logs(baseline, arm))
    assert forth is not None
    assert back is not None
    assert forth.ratio * back.ratio == pytest.approx(1)
    assert forth.low * back.high == pytest.approx(1)
    assert (verdict(forth, 0.03), verdict(back, 0.03)) == (Verdict.WORSE, Verdict.BETTER)


def test_one_wild_round_moves_little() -> None:
    logs = paired_logs(*rounds(1.2, 20, 0.03, seed=3))
    wild = logs.copy()
    wild[4] = 3.0
    before, after = ratio(logs), ratio(wild)
    assert before is not None
    assert after is not None
    assert after.ratio == pytest.approx(before.ratio, rel=0.02)


@pytest.mark.parametrize(
    ("count", "comparisons", "enough"), [(5, 1, False), (6, 1, True), (7, 4, False), (8, 4, True)]
)
def test_too_few_rounds_give_no_interval(count: int, comparisons: int, enough: bool) -> None:
    assert (ratio(np.zeros(count), confidence=together(comparisons)) is not None) is enough


def test_quiet_twins_are_equivalent_and_noisy_ones_cannot_be_told() -> None:
    quiet = ratio(paired_logs(*rounds(1.0, 20, 0.005, seed=5)))
    noisy = ratio(paired_logs(*rounds(1.0, 20, 0.2, seed=6)))
    assert verdict(quiet, noise_floor(quiet)) is Verdict.EQUIVALENT
    assert verdict(noisy, noise_floor(noisy)) is Verdict.CANNOT_TELL
    assert verdict(quiet, noise_floor(noisy)) is Verdict.CANNOT_TELL


def test_a_difference_inside_the_noise_is_not_told() -> None:
    found = ratio(paired_logs(*rounds(1.1, 40, 0.01, seed=8)))
    assert verdict(found, noise=0.02) is Verdict.WORSE
    assert verdict(found, noise=0.2) is Verdict.CANNOT_TELL
    assert verdict(found, noise=noise_floor(None)) is Verdict.CANNOT_TELL
    assert verdict(None, noise=0.0) is Verdict.CANNOT_TELL


def test_missing_rounds_are_left_out_in_pairs() -> None:
    logs = paired_logs([1.0, math.nan, 4.0, 2.0], [1.0, 1.0, math.nan, 1.0])
    assert logs.tolist() == pytest.approx([0.0, math.log(2)])
    assert ratio(logs) is None


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (19, Percentiles(None, None, None, None)),
        (20, Percentiles(10, None, None, None)),
        (100, Percentiles(50, 90, None, None)),
        (1_000, Percentiles(500, 900, 990, None)),
        (10_000, Percentiles(5_000, 9_000, 9_900, 9_990)),
    ],
)
def test_percentiles_are_given_where_they_were_earned(size: int, expected: Percentiles) -> None:
    shuffled = np.random.default_rng(1).permutation(np.arange(1, size + 1))
    assert percentiles(shuffled) == expected
