"""What a pile of latencies says: the percentiles that it carries, a curve for a chart, HdrHistogram's form.

Percentiles are order statistics of the samples themselves; the histogram, with buckets of 0.1 %, is what is
kept of them.
"""

import math

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import ArrayLike, NDArray

from assay.report.figures import Percentile

HUNDREDTHS = (5_000, 9_000, 9_900, 9_990, 9_999)
"""The percentiles told, in hundredths of a percent: whole numbers, as 99.9 is no exact float."""

BEYOND = 10
"""Samples that must lie beyond a percentile, so that it is not the fate of one of them."""

TAIL = 0.025
CURVE_POINTS = 60
MOST_MICROSECONDS = 60_000_000
SIGNIFICANT_DIGITS = 3


def rank(count: int, hundredths: int) -> int:
    """Of `count` samples the one, from 1, that is the percentile: nearest rank, so a latency that was seen.

    Source: Hyndman and Fan, Sample Quantiles in Statistical Packages, The American Statistician 50 (1996),
    definition 1.

    >>> rank(1_000, 9_990)
    999
    """
    return max(1, -(-count * hundredths // 10_000))


def carried(count: int) -> list[int]:
    """The percentiles that `count` samples carry, in hundredths of a percent.

    >>> carried(300), carried(1_000)
    ([5000, 9000], [5000, 9000, 9900])
    """
    return [hundredths for hundredths in HUNDREDTHS if count * (10_000 - hundredths) >= BEYOND * 10_000]


def ranks_around(count: int, hundredths: int) -> tuple[int, int]:
    """The ranks between which the percentile lies with at least 95 %, whatever the distribution is.

    How many of the samples lie below the true percentile is binomial: the lower rank is the last with at most
    2.5 % of it below, the upper one the first with at most 2.5 % from it on. Source: David and Nagaraja,
    Order Statistics, 3rd edition (2003), section 7.1; Hahn and Meeker, Statistical Intervals (1991), section
    5.2.

    It takes the samples as independent. Requests that queue behind each other are not: the interval is then
    the least that it can be.

    >>> ranks_around(100, 5_000)
    (40, 61)
    """
    share = hundredths / 10_000
    centre, reach = count * share, 10 * math.sqrt(count * share * (1 - share)) + 10
    first, last = max(0, math.floor(centre - reach)), min(count, math.ceil(centre + reach))
    below = np.cumsum([_binomial(count, number, share) for number in range(first, last + 1)])
    low = first + int(np.searchsorted(below, TAIL, side="right"))
    high = first + int(np.searchsorted(below, 1 - TAIL)) + 1
    return max(1, low), min(count, high)


def _binomial(count: int, number: int, share: float) -> float:
    """The probability that `number` of `count` come out, each with the probability `share`."""
    ways = math.lgamma(count + 1) - math.lgamma(number + 1) - math.lgamma(count - number + 1)
    return math.exp(ways + number * math.log(share) + (count - number) * math.log1p(-share))


def percentiles(latencies_ns: ArrayLike) -> list[Percentile]:
    """Those that the samples carry, ascending, each with its interval; of fewer than 20 samples none."""
    ordered = _ordered(latencies_ns)
    found = []
    for hundredths in carried(ordered.size):
        low, high = ranks_around(ordered.size, hundredths)
        at, least, most = (
            float(ordered[one - 1]) / 1e6 for one in (rank(ordered.size, hundredths), low, high)
        )
        found.append(Percentile(percentile=hundredths / 100, ms=at, low_ms=least, high_ms=most))
    return found


def curve(latencies_ns: ArrayLike) -> list[tuple[float, float]]:
    """(percentile, ms) from the least latency to the highest percentile that is carried, evenly spaced by
    half-lives: each step leaves the same part of the samples beyond, as on HdrHistogram's axis."""
    ordered = _ordered(latencies_ns)
    told = carried(ordered.size)
    if not told:
        return []
    halvings = np.linspace(0, math.log2(10_000 / (10_000 - told[-1])), CURVE_POINTS)
    levels = 1 - 2.0**-halvings
    levels[-1] = told[-1] / 10_000
    ranks = np.clip(np.ceil(np.round(levels * ordered.size, 6)).astype(int), 1, ordered.size)
    return [
        (float(level * 100), float(ordered[one - 1]) / 1e6) for level, one in zip(levels, ranks, strict=True)
    ]


def encoded(latencies_ns: ArrayLike) -> str:
    """HdrHistogram's compressed form (V2, base64) of microseconds to three digits; beyond 60 s is 60 s."""
    histogram = HdrHistogram(1, MOST_MICROSECONDS, SIGNIFICANT_DIGITS)
    microseconds = np.clip(_ordered(latencies_ns) // 1_000, 1, MOST_MICROSECONDS)
    for value, count in zip(*np.unique(microseconds, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    form: bytes = histogram.encode()
    return form.decode("ascii")


def _ordered(latencies_ns: ArrayLike) -> NDArray[np.int64]:
    return np.sort(np.asarray(latencies_ns, dtype=np.int64))
