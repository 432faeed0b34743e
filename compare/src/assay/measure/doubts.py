"""Why a figure may not hold, from the rounds that it was made of."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from assay.measure.lane import LEAST_ROUNDS, ArmRound
from assay.measure.statistics import PRACTICAL, Ratio
from assay.report.model import Doubt

Logs = NDArray[np.float64]
"""ln(arm / baseline), round by round."""

NOISY = 0.15
"""Spread of an arm's own figures over the rounds, as a part of them: slices repeat within 5–10 % on a
quiet machine."""

THROTTLED = 0.15
"""So much dearer is every arm at the end than at the beginning."""

_TREND = 0.01
"""How seldom a trend may be seen where there is none."""

_TO_DEVIATION = 1.4826
"""From a median absolute deviation to the standard deviation of a normal distribution."""


def doubts_of(
    rounds: Sequence[ArmRound],
    logs: Logs | None,
    ratio: Ratio | None,
    precision: float | None,
    *,
    cold: bool,
) -> list[Doubt]:
    """What is to be doubted of one arm's figures, and of its ratio to the baseline; `logs` is None where it
    has none that rounds are made for (the baseline itself, a floor)."""
    figures = [found.service_cpu_us or found.samples.per_second for found in rounds]
    seen = np.count_nonzero(figures) if logs is None or _unread(rounds) else logs.size
    held = {
        Doubt.GENERATOR_BUSY: any(found.void for found in rounds),
        Doubt.NOISY: noisy(rounds),
        Doubt.DRIFT: logs is not None and drifts(logs),
        Doubt.TOO_FEW: seen < LEAST_ROUNDS,
        Doubt.NOT_WARM: cold,
        Doubt.WIDE: precision is not None and ratio is not None and ratio.half_width > precision,
        Doubt.NO_CPU: _unread(rounds),
    }
    return [doubt for doubt, holds in held.items() if holds]


def noisy(rounds: Sequence[ArmRound]) -> bool:
    """Whether the arm's own CPU differs widely between rounds, by its median absolute deviation.

    Source: Rousseeuw and Croux, Alternatives to the Median Absolute Deviation, Journal of the American
    Statistical Association 88 (1993).
    """
    logs = _logs(rounds)
    if logs.size < 3:
        return False
    return _TO_DEVIATION * float(np.median(np.abs(logs - np.median(logs)))) > NOISY


def drifts(logs: Logs) -> bool:
    """Whether the ratio moved in one direction: a trend that is none by chance once in a hundred times, and
    that comes to more than the practical threshold from the first round to the last.

    Source: Mann, Nonparametric Tests Against Trend, Econometrica 13 (1945), by the normal approximation of
    Kendall's S; Sen, Estimates of the Regression Coefficient Based on Kendall's Tau, Journal of the American
    Statistical Association 63 (1968).

    >>> drifts(np.linspace(0, 0.2, 20)), drifts(np.zeros(20))
    (True, False)
    """
    rounds = logs.size
    if rounds < LEAST_ROUNDS:
        return False
    earlier, later = np.triu_indices(rounds, k=1)
    steps = logs[later] - logs[earlier]
    agreeing = abs(float(np.sign(steps).sum()))
    deviation = math.sqrt(rounds * (rounds - 1) * (2 * rounds + 5) / 18)
    chance = math.erfc(max(0.0, agreeing - 1) / deviation / math.sqrt(2))
    moved = abs(float(np.median(steps / (later - earlier)))) * (rounds - 1)
    return chance < _TREND and moved > math.log1p(PRACTICAL)


def throttled(rounds: Mapping[str, Sequence[ArmRound]]) -> bool:
    """Whether every arm alike needed more CPU for a request in the last third of the rounds than in the
    first: then it is the machine's doing, and no arm's."""
    known = [logs for found in rounds.values() if (logs := _logs(found)).size >= LEAST_ROUNDS]
    if len(known) < 2:
        return False
    risen = [
        float(np.median(logs[-(logs.size // 3) :]) - np.median(logs[: logs.size // 3])) for logs in known
    ]
    return min(risen) > math.log1p(THROTTLED)


def _logs(rounds: Sequence[ArmRound]) -> Logs:
    return np.log([found.service_cpu_us for found in rounds if found.service_cpu_us])


def _unread(rounds: Sequence[ArmRound]) -> bool:
    return any(found.service_cpu_ns is None for found in rounds)
