"""From rounds to verdicts: paired ratios and their intervals, the noise floor, earned percentiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
PRACTICAL = 0.03
"""A difference below 3 % is none to act on."""

LEAST_SAMPLES = {500: 20, 900: 100, 990: 1_000, 999: 10_000}
"""Samples that a percentile, in thousandths, needs: at least ten lie above it."""


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the baseline's figure an arm's is: the centre over rounds and its interval."""

    ratio: float
    low: float
    high: float
    rounds: int

    @property
    def half_width(self) -> float:
        """The farther end's distance from the centre, as a part of the centre: 0.05 is ±5 %."""
        return max(self.high / self.ratio - 1, 1 - self.low / self.ratio)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nanoseconds; None where there are too few samples."""

    p50: int | None
    p90: int | None
    p99: int | None
    p999: int | None


def percentiles(latencies_ns: ArrayLike) -> Percentiles:
    """Nearest-rank percentiles: each is a latency that was seen.

    Source: Hyndman and Fan, Sample Quantiles in Statistical Packages, The American Statistician 50 (1996),
    definition 1.

    >>> percentiles(range(1, 101))
    Percentiles(p50=50, p90=90, p99=None, p999=None)
    """
    ordered = np.sort(np.asarray(latencies_ns, dtype=np.int64))

    def at(thousandths: int) -> int | None:
        if ordered.size < LEAST_SAMPLES[thousandths]:
            return None
        rank = -(-ordered.size * thousandths // 1_000)  # rounded up, in whole numbers: 99.9 is no exact float
        return int(ordered[rank - 1])

    return Percentiles(at(500), at(900), at(990), at(999))


def paired_logs(arm: ArrayLike, baseline: ArrayLike) -> NDArray[np.float64]:
    """ln(arm / baseline) for each round; a round that one of them lacks (NaN, or not above 0) is left out.

    Pairing takes the machine's drift out, as both arms of a round had the same machine; logarithms make
    twice and half the same distance. Source: Fleming and Wallace, How Not to Lie with Statistics,
    Communications of the ACM 29 (1986).

    >>> paired_logs([2.0, 3.0, 5.0], [1.0, 3.0, 0.0]).round(3).tolist()
    [0.693, 0.0]
    """
    above, below = np.asarray(arm, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    whole = (above > 0) & (below > 0)
    return np.log(above[whole] / below[whole])


def ratio(logs: NDArray[np.float64], *, confidence: float = CONFIDENCE) -> Ratio | None:
    """The pseudo-median ratio and its exact interval; None where there are too few rounds for the confidence
    (at 95 % below 6, at 98.75 % below 8).

    The median of the means of all pairs of rounds, and the order statistics of those means that the signed
    rank test does not reject. It asks for no more than that the noise is symmetric, which the difference of
    two arms' logarithms is where both have the same noise, and gives way to no outlier. A percentile
    bootstrap of the median holds the truth too seldom where rounds are few and the confidence is high.
    Source: Hodges and Lehmann, Estimates of Location Based on Rank Tests, Annals of Mathematical Statistics
    34 (1963); Hollander, Wolfe and Chicken, Nonparametric Statistical Methods (2014), sections 3.2 and 3.3.

    >>> ratio(np.log([2.0] * 6))
    Ratio(ratio=2.0, low=2.0, high=2.0, rounds=6)
    """
    rounds = logs.size
    rank = _signed_rank(rounds, confidence)
    if rank == 0:
        return None
    first, second = np.triu_indices(rounds)
    means = np.sort((logs[first] + logs[second]) / 2)
    found = (np.median(means), means[rank - 1], means[-rank])
    centre, low, high = (round(math.exp(value), 9) for value in found)
    return Ratio(centre, low, high, rounds)


def between(turns: Sequence[NDArray[np.float64]]) -> float | None:
    """The variance that turns of one ratio, minutes apart, have beyond that of their rounds: of logarithms.
    Below 0 by chance, so that the mean of several is true. None where it cannot be told: from one turn, or
    turns of one round.

    A machine that other programs use too is not the same machine minutes later, and takes one arm's time
    rather than another's. Rounds of one turn are too close together to show it. Source: Searle, Casella and
    McCulloch, Variance Components (1992), section 3.6.

    >>> round(between([np.array([0.0, 0.2]), np.array([1.0, 1.2])]), 3)
    0.49
    """
    sizes = np.array([turn.size for turn in turns if turn.size])
    groups, rounds = sizes.size, sizes.sum()
    if groups < 2 or rounds <= groups:
        return None
    whole = np.concatenate(turns)
    means = np.array([turn.mean() for turn in turns if turn.size])
    apart = float((sizes * (means - whole.mean()) ** 2).sum())
    within = float(((whole - whole.mean()) ** 2).sum()) - apart
    size = (rounds - (sizes**2).sum() / rounds) / (groups - 1)
    return float((apart / (groups - 1) - within / (rounds - groups)) / size)


def widened(
    found: Ratio, turns: Sequence[NDArray[np.float64]], variance: float | None, confidence: float
) -> Ratio:
    """With what differs between turns in its interval: `variance` as by `between`, over as many turns as
    would weigh the same if they were equally long (Kish, Survey Sampling, 1965, section 11.7).

    >>> widened(Ratio(1.0, 1.0, 1.0, 6), [np.zeros(3), np.zeros(3)], 0.0002, 0.95).high.__round__(4)
    1.0198
    """
    if variance is None or variance <= 0:
        return found
    sizes = np.array([turn.size for turn in turns])
    weighing = float(sizes.sum() ** 2 / (sizes**2).sum())
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance / weighing)
    low, high = (
        math.exp(sign * math.hypot(math.log(end / found.ratio), reach))
        for sign, end in ((-1, found.low), (1, found.high))
    )
    return Ratio(found.ratio, round(found.ratio * low, 9), round(found.ratio * high, 9), found.rounds)


@cache
def _signed_rank(rounds: int, confidence: float) -> int:
    """Which of the ordered means of pairs is the low end, counted from 1; the high end is as far from the
    last. 0 where not even the outermost ones are far enough apart.

    >>> _signed_rank(10, 0.95), _signed_rank(5, 0.95)
    (9, 0)
    """
    chances = np.ones(1)
    for rank in range(1, rounds + 1):
        higher = np.zeros(chances.size + rank)
        higher[: chances.size] += chances / 2
        higher[rank:] += chances / 2
        chances = higher
    return int(np.searchsorted(np.cumsum(chances), (1 - confidence) / 2, side="right"))


def together(comparisons: int, confidence: float = CONFIDENCE) -> float:
    """The confidence that each of several intervals needs for all of them to hold at once.

    Source: Dunn, Multiple Comparisons Among Means, Journal of the American Statistical Association 56 (1961).

    >>> together(4)
    0.9875
    """
    return 1 - (1 - confidence) / max(1, comparisons)


def mean(variances: Sequence[float | None]) -> float | None:
    """Of those that are known; None where none is.

    >>> mean([0.5, None, 0.25]), mean([None])
    (0.375, None)
    """
    known = [variance for variance in variances if variance is not None]
    return sum(known) / len(known) if known else None


def noise_floor(twins: Ratio | None) -> float:
    """How far apart two equal arms may seem in this run: the farther end of the A/A interval, as |ln ratio|.

    Infinite without an A/A arm: nothing can be told then. Source: A/A tests, Kohavi, Tang and Xu, Trustworthy
    Online Controlled Experiments (2020), chapter 19.

    >>> round(noise_floor(Ratio(1.0, 0.96, 1.02, 10)), 4)
    0.0408
    """
    if twins is None:
        return math.inf
    return max(abs(math.log(twins.low)), abs(math.log(twins.high)))


def verdict(
    found: Ratio | None, noise: float, *, practical: float = PRACTICAL, lower_is_better: bool = True
) -> Verdict:
    """What an arm is against the baseline.

    Different only where the whole interval lies beyond the noise floor and beyond the practical threshold;
    equivalent only where the whole interval lies within the threshold and the noise floor does as well.
    Source: Schuirmann, A comparison of the two one-sided tests procedure, Journal of Pharmacokinetics and
    Biopharmaceutics 15 (1987), by its interval form.
    The A/A pair itself is judged with `noise` 0, as its own spread would hide it.

    >>> verdict(Ratio(1.5, 1.4, 1.6, 10), noise=0.05)
    <Verdict.WORSE: 'worse'>
    >>> verdict(Ratio(1.0, 0.99, 1.01, 10), noise=0.02)
    <Verdict.EQUIVALENT: 'equivalent'>
    >>> verdict(Ratio(1.05, 1.02, 1.09, 10), noise=0.04)
    <Verdict.CANNOT_TELL: 'cannot tell'>
    """
    if found is None:
        return Verdict.CANNOT_TELL
    low, high = math.log(found.low), math.log(found.high)
    threshold = math.log1p(practical)
    band = max(noise, threshold)
    if high < -band:
        return Verdict.BETTER if lower_is_better else Verdict.WORSE
    if low > band:
        return Verdict.WORSE if lower_is_better else Verdict.BETTER
    if noise <= threshold and -threshold <= low and high <= threshold:
        return Verdict.EQUIVALENT
    return Verdict.CANNOT_TELL
