"""Statistics on seeded samples of which the truth is known."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.measure.statistics import (
    Percentiles,
    Verdict,
    noise_floor,
    paired_logs,
    percentiles,
    ratio,
    verdict,
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
        found = ratio(paired_logs(*rounds(1.0, 12, 0.06, seed=seed)), seed=seed)
        verdicts.append(verdict(found, noise=0.0))
    different = verdicts.count(Verdict.BETTER) + verdicts.count(Verdict.WORSE)
    assert different <= 10  # of 200: the interval may miss 5 %, and must clear the threshold besides


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(300):
        found = ratio(paired_logs(*rounds(1.5, 12, 0.08, seed=1_000 + seed)), seed=seed)
        assert found is not None
        held += found.low <= 1.5 <= found.high
    assert 0.88 <= held / 300 <= 0.99


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


def test_the_same_seed_gives_the_same_interval() -> None:
    logs = paired_logs(*rounds(1.2, 10, 0.1, seed=2))
    assert ratio(logs, seed=4) == ratio(logs, seed=4)


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
