"""From an arm's rounds to its cell: figures, or why there are none."""

from collections.abc import Sequence

import numpy as np

from assay.judge.equality import Held
from assay.measure import statistics
from assay.measure.doubts import Logs
from assay.measure.lane import ArmRound
from assay.measure.samples import Samples, merged
from assay.report.model import Cell, Comparison, Doubt
from assay.report.part import Interval


def why_missing(rounds: Sequence[ArmRound], held: Held | None) -> str | None:
    """Why the arm gets no figures, or None. `held` is None where its answers are not compared: the baseline's
    are what is compared with, a floor's are other ones."""
    if not rounds:
        return "not measured: the time was over before its first round"
    whole = merged(found.samples for found in rounds)
    slices, void = sum(found.slices for found in rounds), sum(found.void for found in rounds)
    if _errors(whole) * 100 >= whole.sent:
        return _failed(whole)
    if held is not None and not held.compared:
        return "no answer to the same request was sampled on both arms"
    if held is not None and held.first is not None:
        first = held.first
        return (
            f"{held.wrong:,} of {held.compared:,} compared answers differ from the baseline's; request "
            f"{first.index} was answered {first.found} instead of {first.expected}"
        )
    if void * 3 > slices:
        return f"the generator could not keep up in {void} of {slices} slices"
    return None


def withheld(scenario: str, arm: str, rounds: Sequence[ArmRound], held: Held | None, reason: str) -> Cell:
    """Counts, but no figure; a generator that could not keep up is still told."""
    busy = any(found.void for found in rounds)
    doubts = [Doubt.GENERATOR_BUSY] if busy else []
    return Cell(missing=reason, doubts=doubts, **_counted(scenario, arm, rounds, held))


def figures(
    scenario: str,
    arm: str,
    rounds: Sequence[ArmRound],
    held: Held | None,
    *,
    trips: float | None,
    comparison: Comparison | None,
    doubts: list[Doubt],
) -> Cell:
    whole = merged(found.samples for found in rounds)
    spread = statistics.percentiles(whole.latencies_ns)
    return Cell(
        **_counted(scenario, arm, rounds, held),
        missing=None,
        service_cpu=_interval([found.service_cpu_us for found in rounds]),
        database_cpu=_interval([found.database_cpu_us for found in rounds]),
        round_trips=trips,
        bytes_in=whole.bytes_in / whole.statuses.total(),
        bytes_out=whole.bytes_out / whole.sent,
        per_second=_interval([found.samples.per_second for found in rounds]),
        p50_ms=_milliseconds(spread.p50),
        p90_ms=_milliseconds(spread.p90),
        p99_ms=_milliseconds(spread.p99),
        against_baseline=comparison,
        doubts=doubts,
    )


def paired(arm: Sequence[ArmRound], baseline: Sequence[ArmRound]) -> Logs:
    """ln of the ratio of service CPU per request, for each round that both have."""
    below = {found.round: found.service_cpu_us or np.nan for found in baseline}
    pairs = [(found.service_cpu_us or np.nan, below.get(found.round, np.nan)) for found in arm]
    return statistics.paired_logs([one for one, _ in pairs], [other for _, other in pairs])


def by_turn(arm: Sequence[ArmRound], baseline: Sequence[ArmRound]) -> list[Logs]:
    """The same, apart for each turn."""
    turns = dict.fromkeys(found.turn for found in arm)
    return [paired([found for found in arm if found.turn == turn], baseline) for turn in turns]


def compared(ratio: statistics.Ratio | None, noise: float) -> Comparison | None:
    if ratio is None:
        return None
    interval = Interval(value=ratio.ratio, low=ratio.low, high=ratio.high)
    said = statistics.verdict(ratio, noise)
    return Comparison(ratio=interval, rounds=ratio.rounds, verdict=said.value)


def _counted(scenario: str, arm: str, rounds: Sequence[ArmRound], held: Held | None) -> dict[str, str | int]:
    whole = merged(found.samples for found in rounds)
    return {
        "arm": arm,
        "scenario": scenario,
        "rounds": len(rounds),
        "requests": whole.sent,
        "errors": _errors(whole),
        "compared": 0 if held is None else held.compared,
        "wrong": 0 if held is None else held.wrong,
    }


def _errors(whole: Samples) -> int:
    return whole.errors.total() + sum(count for status, count in whole.statuses.items() if status >= 400)


def _failed(whole: Samples) -> str:
    kinds = [*whole.errors.items(), *((str(status), count) for status, count in whole.statuses.items())]
    counts = ", ".join(f"{count:,} × {kind}" for kind, count in kinds)
    return f"{_errors(whole):,} of {whole.sent:,} requests failed: {counts}"


def _interval(values: Sequence[float | None]) -> Interval | None:
    seen = [value for value in values if value]
    ratio = statistics.ratio(np.log(seen)) if seen else None
    return None if ratio is None else Interval(value=ratio.ratio, low=ratio.low, high=ratio.high)


def _milliseconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6
