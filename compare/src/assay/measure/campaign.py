"""One scenario on all arms: rounds, then what they say, cell by cell."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx2
import numpy as np

from assay.judge.equality import Mismatch, compared, mismatch
from assay.measure import statistics
from assay.measure.connection import Asked, Source
from assay.measure.rounds import Arm as LoadArm
from assay.measure.rounds import ArmRound, Plan, measure_rounds
from assay.measure.samples import SampledAnswer, merged
from assay.measure.scenarios import Scenario, Target
from assay.report.model import Cell, Comparison, Doubt, Interval

PROBES = 8
SAMPLE_EVERY = 7
GENERATOR_LIMIT = 0.9
"""Share of a core above which the generator may be what was measured."""


@dataclass(frozen=True)
class Contestant:
    """An arm that is up: where its load goes, whose CPU counts, which rows are its own."""

    name: str
    load: LoadArm
    target: Target
    is_floor: bool

    @property
    def url(self) -> str:
        return f"http://{self.load.host}:{self.load.port}"


@dataclass(frozen=True)
class Found:
    """What one scenario gave: a cell for each arm, the A/A comparison, doubts."""

    cells: list[Cell]
    noise: Comparison | None
    doubts: frozenset[Doubt]


async def run(
    scenario: Scenario,
    contestants: Sequence[Contestant],
    baseline: str,
    twins: tuple[str, str] | None,
    plan: Plan,
    on_round: Callable[[int], None],
) -> Found:
    """Measures the scenario; `twins` names the A/A pair, `baseline` the arm that the others are ratios of."""
    by_name = {contestant.name: contestant for contestant in contestants}

    sources = {name: scenario.source(one.target, plan.seed) for name, one in by_name.items()}
    loads = [contestant.load for contestant in contestants]
    rounds = await measure_rounds(loads, lambda arm: sources[arm.name], plan, on_round)
    by_arm = {name: [found for found in rounds if found.arm == name] for name in by_name}
    samples = {
        name: [answer for found in by_arm[name] for answer in found.samples.sampled] for name in by_name
    }
    noise = _against(by_arm, twins[0], twins[1], 0.0) if twins else None
    floor = _noise_floor(noise)
    cells = []
    for name, contestant in by_name.items():
        differs = None if contestant.is_floor else _differs(samples, baseline, name)
        trips = None if contestant.is_floor else await round_trips(contestant, sources[name])
        comparison = None if name == baseline else _against(by_arm, baseline, name, floor)
        cells.append(_cell(scenario.name, by_arm[name], differs, trips, comparison))
    return Found(cells, noise, _doubts(rounds, noise, cells))


def missing(scenario: Scenario, arm: str, reason: str) -> Cell:
    return Cell(arm=arm, scenario=scenario.name, missing=reason)


async def round_trips(contestant: Contestant, source: Source) -> float | None:
    """The mean of `Server-Timing`'s count over the source's next `PROBES` requests, one at a time; every
    connection has prepared its statements by then."""
    counts: list[int] = []
    async with httpx2.AsyncClient(base_url=contestant.url, trust_env=False, timeout=30) as client:
        for _ in range(PROBES):
            asked = source()
            wire, learn = (asked.wire, asked.on_answer) if isinstance(asked, Asked) else (asked, None)
            method, path, headers, body = _parsed(wire)
            answer = await client.request(method, path, headers=headers, content=body)
            if learn is not None:
                learn(answer.status_code, _head(answer), answer.content)
            timing = answer.headers.get("server-timing")
            if answer.is_success and timing is not None:
                counts.append(int(timing.rpartition('desc="')[2].rstrip('"')))
    return float(np.mean(counts)) if counts else None


def _parsed(wire: bytes) -> tuple[str, str, dict[str, str], bytes]:
    head, _, body = wire.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return method, path, {name: text for name, text in headers.items() if name != "content-length"}, body


def _head(answer: httpx2.Response) -> bytes:
    lines = [b"%s: %s" % (name, text) for name, text in answer.headers.raw]
    return b"\r\n".join([b"HTTP/1.1 %d" % answer.status_code, *lines])


def _differs(samples: Mapping[str, list[SampledAnswer]], baseline: str, name: str) -> str | None:
    """Why the arm's answers are no proof of equal work, or None where they are."""
    if name == baseline:
        return None
    if not compared(samples[baseline], samples[name]):
        return "no answer to the same request was sampled on both arms"
    found = mismatch(samples[baseline], samples[name])
    return None if found is None else _told(found)


def _told(found: Mismatch) -> str:
    return f"answered request {found.index} otherwise: {found.found} instead of {found.expected}"


def _against(
    by_arm: Mapping[str, Sequence[ArmRound]], baseline: str, name: str, noise: float
) -> Comparison | None:
    """Service CPU per request, paired by round."""
    above = [found.service_cpu_us or np.nan for found in by_arm[name]]
    below = [found.service_cpu_us or np.nan for found in by_arm[baseline]]
    ratio = statistics.ratio(statistics.paired_logs(above, below))
    if ratio is None:
        return None
    interval = Interval(value=ratio.ratio, low=ratio.low, high=ratio.high)
    said = statistics.verdict(ratio, noise)
    return Comparison(ratio=interval, rounds=ratio.rounds, verdict=said.value)


def _noise_floor(noise: Comparison | None) -> float:
    if noise is None:
        return statistics.noise_floor(None)
    interval = noise.ratio
    return statistics.noise_floor(statistics.Ratio(interval.value, interval.low, interval.high, noise.rounds))


def _cell(
    scenario: str,
    rounds: Sequence[ArmRound],
    differs: str | None,
    trips: float | None,
    comparison: Comparison | None,
) -> Cell:
    whole = merged(found.samples for found in rounds)
    failed = sum(count for status, count in whole.statuses.items() if status >= 400)
    errors = whole.errors.total() + failed
    counted = {
        "arm": rounds[0].arm,
        "scenario": scenario,
        "rounds": len(rounds),
        "requests": whole.sent,
        "errors": errors,
    }
    reason = differs
    if errors * 100 >= whole.sent:
        kinds = [*whole.errors.items(), *((str(status), count) for status, count in whole.statuses.items())]
        counts = ", ".join(f"{count} × {kind}" for kind, count in kinds)
        reason = f"{errors} of {whole.sent} requests failed: {counts}"
    if reason is not None:
        return Cell(**counted, missing=reason)
    spread = statistics.percentiles(whole.latencies_ns)
    return Cell(
        **counted,
        missing=None,
        service_cpu=_interval([found.service_cpu_us for found in rounds]),
        database_cpu=_interval([found.database_cpu_us for found in rounds]),
        round_trips=trips,
        per_second=_interval([found.samples.per_second for found in rounds]),
        p50_ms=_milliseconds(spread.p50),
        p90_ms=_milliseconds(spread.p90),
        p99_ms=_milliseconds(spread.p99),
        against_baseline=comparison,
    )


def _interval(values: Sequence[float | None]) -> Interval | None:
    seen = [value for value in values if value]
    ratio = statistics.ratio(np.log(seen)) if seen else None
    return None if ratio is None else Interval(value=ratio.ratio, low=ratio.low, high=ratio.high)


def _milliseconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / 1e6


def _doubts(rounds: Sequence[ArmRound], noise: Comparison | None, cells: Sequence[Cell]) -> frozenset[Doubt]:
    doubts: set[Doubt] = set()
    if max((found.samples.generator_share for found in rounds), default=0.0) > GENERATOR_LIMIT:
        doubts.add(Doubt.GENERATOR_BUSY)
    if noise is not None and max(noise.ratio.high, 1 / noise.ratio.low) > 1.1:
        doubts.add(Doubt.NOISY)
    if any(cell.missing is None and cell.p99_ms is None for cell in cells):
        doubts.add(Doubt.TOO_FEW)
    if any(found.service_cpu_ns is None for found in rounds):
        doubts.add(Doubt.NO_CPU)
    return frozenset(doubts)


def seeded(seed: int, scenario: Scenario) -> int:
    """A seed of the scenario's own, so that leaving one out changes no other."""
    return random.Random(f"{seed} {scenario.name}").getrandbits(32)
