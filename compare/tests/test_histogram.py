"""Percentiles of samples of which the truth is known."""

import math
from array import array
from itertools import pairwise

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from assay.measure.histogram import carried, curve, encoded, percentiles, rank, ranks_around


def told(count: int) -> list[float]:
    samples = np.random.default_rng(4).lognormal(13, 1, count)
    return [found.percentile for found in percentiles(samples)]


def test_percentiles_need_ten_samples_beyond_them() -> None:
    assert told(300) == [50, 90]
    assert told(999) == [50, 90]
    assert told(1_000) == [50, 90, 99]
    assert told(9_999) == [50, 90, 99]
    assert told(10_000) == [50, 90, 99, 99.9]
    assert told(100_000) == [50, 90, 99, 99.9, 99.99]
    assert told(19) == told(0) == []


def test_a_percentile_is_a_latency_that_was_seen_in_milliseconds() -> None:
    found = percentiles(array("q", range(1_000_000, 1_001_000_000, 1_000_000)))
    assert [one.ms for one in found] == [500.0, 900.0, 990.0]
    assert [(one.low_ms, one.high_ms) for one in found] == [(469.0, 532.0), (881.0, 919.0), (983.0, 997.0)]


@pytest.mark.parametrize(("count", "hundredths"), [(20, 5_000), (1_000, 9_900), (10_000, 9_990)])
def test_ranks_leave_at_most_a_fortieth_on_either_side(count: int, hundredths: int) -> None:
    low, high = ranks_around(count, hundredths)
    share = hundredths / 10_000

    def at_most(number: int) -> float:
        return sum(
            math.comb(count, one) * share**one * (1 - share) ** (count - one) for one in range(number + 1)
        )

    if count > 1_000:  # the sums above are of numbers too large for a float there
        assert 1 <= low < rank(count, hundredths) < high <= count
        return
    assert at_most(low - 1) <= 0.025 < at_most(low)
    assert 1 - at_most(high - 1) <= 0.025 < 1 - at_most(high - 2)


@pytest.mark.parametrize(("hundredths", "count"), [(5_000, 40), (9_900, 1_500), (9_990, 10_000)])
def test_intervals_hold_the_truth_about_as_often_as_they_say(hundredths: int, count: int) -> None:
    rng = np.random.default_rng(9)
    truth = -math.log(1 - hundredths / 10_000)
    low, high = ranks_around(count, hundredths)
    runs = np.sort(rng.exponential(size=(400, count)), axis=1)
    held = np.mean((runs[:, low - 1] <= truth) & (truth <= runs[:, high - 1]))
    assert 0.93 <= held <= 1.0


def test_the_curve_rises_to_the_highest_percentile_that_is_carried() -> None:
    samples = np.random.default_rng(5).lognormal(14, 1, 3_000)
    points = curve(samples)
    assert len(points) == 60
    assert points[0] == (0.0, float(samples.min()) // 1 / 1e6)
    assert points == sorted(points)
    assert points[-1] == (99.0, percentiles(samples)[-1].ms)
    beyond = [100 - percentile for percentile, _ in points]
    steps = [after / before for before, after in pairwise(beyond)]
    assert steps == pytest.approx([steps[0]] * 59)
    assert curve(samples[:10]) == []


def test_the_kept_form_is_one_that_hdrhistogram_reads() -> None:
    samples = np.random.default_rng(6).lognormal(14, 1.5, 20_000)
    samples[:3] = 70e9
    read = HdrHistogram.decode(encoded(samples))
    assert read.get_total_count() == 20_000
    assert read.get_max_value() >= 60_000_000
    for found in percentiles(samples):
        assert read.get_value_at_percentile(found.percentile) / 1_000 == pytest.approx(found.ms, rel=2e-3)


def test_every_percentile_carried_has_ranks_within_the_samples() -> None:
    for count in (20, 21, 100, 999, 1_000, 1_001, 10_000, 123_456):
        for hundredths in carried(count):
            low, high = ranks_around(count, hundredths)
            assert 1 <= low <= rank(count, hundredths) <= high <= count
