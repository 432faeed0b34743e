"""Hard limits that somebody sets, and whether an arm keeps them by what was measured."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from assay.measure.latency import ONE_OF_THREE
from assay.report.care import Candidate
from assay.report.decision import Requirement
from assay.report.figures import Capacity, Footprint, Latency
from assay.report.model import Arm
from assay.stand import StandError

Holds: TypeAlias = Literal["yes", "no", "unknown"]
Answer: TypeAlias = tuple[Holds, str]

MOST_PER_SECOND = 1_000_000

FORMS = (
    "transactions",
    "postgresql",
    "mongodb",
    "maintained",
    "p99 < 20 ms at 500/s",
    "p99 < 20 ms at 500/s in users.get",
    "capacity > 800/s",
    "memory < 200 MiB",
)

_NUMBER = r"(\d+(?:\.\d+)?)"
_LATENCY = re.compile(
    rf"p(50|90|99|99\.9)\s*<\s*{_NUMBER}\s*ms\s+at\s+{_NUMBER}\s*/\s*s(?:\s+in\s+(.+))?", re.I | re.A
).fullmatch
_CAPACITY = re.compile(rf"capacity\s*>\s*{_NUMBER}\s*/\s*s", re.I | re.A).fullmatch
_MEMORY = re.compile(rf"memory\s*<\s*{_NUMBER}\s*mib", re.I | re.A).fullmatch
_DATABASE = re.compile(r"(?:must be\s+)?(postgresql|mongodb)", re.I).fullmatch
_TRANSACTIONS = re.compile(r"(?:needs\s+)?transactions", re.I).fullmatch
_MAINTAINED = re.compile(r"(?:must be\s+)?maintained", re.I).fullmatch

_KEEPS_TRANSACTIONS = {
    "postgresql": "every change is one",
    "mongodb": "on a replica set, which a single server is not",
}


@dataclass(frozen=True)
class Evidence:
    """What a limit may be held against. Latencies and capacities are of all scenarios."""

    latencies: Sequence[Latency]
    capacities: Sequence[Capacity]
    footprints: Sequence[Footprint]
    candidates: Sequence[Candidate]


Test: TypeAlias = Callable[[Arm, Evidence], Answer]


@dataclass(frozen=True)
class Limit:
    """One hard limit. `per_second` is the rate at which it wants latencies measured, None for none; in
    `scenario` alone, or in all that have an open loop. `of_open_loop`: only an open loop can tell."""

    text: str
    test: Test
    per_second: float | None = None
    scenario: str | None = None
    of_open_loop: bool = False

    def wants(self, scenario: str) -> bool:
        """Whether it takes latencies of the scenario at its rate."""
        return self.per_second is not None and self.scenario in (None, scenario)

    def held(self, arms: Iterable[Arm], evidence: Evidence) -> Requirement:
        answers = {arm.name: self.test(arm, evidence) for arm in arms}
        return Requirement(
            text=self.text,
            holds={name: answer for name, (answer, _) in answers.items()},
            because={name: because for name, (_, because) in answers.items()},
        )


def limit(text: str) -> Limit:
    """Reads one limit. Raises StandError, whose message names the forms there are.

    A latency must be kept in every scenario that is measured in an open loop, or in the one that is named:
    each is measured at the limit's rate on top of its usual one, in the same time, so that a long list of
    limits wants a larger budget. The whole interval has to be below the limit; an arm that fails requests at
    the rate does not keep it.

    >>> limit("must be PostgreSQL").per_second, limit("p99 < 20 ms at 500/s in users.get").scenario
    (None, 'users.get')
    """
    wanted = " ".join(text.split())
    if found := _LATENCY(wanted):
        percentile, most_ms, rate = (float(number) for number in found.groups()[:3])
        if most_ms > 0 and 0 < rate <= MOST_PER_SECOND:
            test = _latency(percentile, most_ms, rate, found[4])
            return Limit(wanted, test, rate, found[4], of_open_loop=True)
    if (found := _CAPACITY(wanted)) and 0 < float(found[1]) <= MOST_PER_SECOND:
        return Limit(wanted, _capacity(float(found[1])), of_open_loop=True)
    if (found := _MEMORY(wanted)) and float(found[1]) > 0:
        return Limit(wanted, _memory(float(found[1])))
    if found := _DATABASE(wanted):
        return Limit(wanted, _database(found[1].lower()))
    if _TRANSACTIONS(wanted):
        return Limit(wanted, _transactions)
    if _MAINTAINED(wanted):
        return Limit(wanted, _maintained)
    raise StandError(
        f"--require {text!r} is no limit; write one like {', '.join(map(repr, FORMS))}: "
        f"numbers above 0, rates up to {MOST_PER_SECOND:,}/s."
    )


def _database(kind: str) -> Test:
    def test(arm: Arm, _evidence: Evidence) -> Answer:
        if arm.database is None:
            return "unknown", "its database is not known"
        return ("yes" if arm.database == kind else "no"), arm.database

    return test


def _transactions(arm: Arm, _evidence: Evidence) -> Answer:
    if arm.database is None:
        return "unknown", "its database is not known"
    return "yes", _KEEPS_TRANSACTIONS[arm.database]


def _maintained(arm: Arm, evidence: Evidence) -> Answer:
    own = [candidate for candidate in evidence.candidates if candidate.backend == arm.backend]
    if not own:
        return "unknown", "nothing is known of its libraries"
    ended = [candidate for candidate in own if not candidate.maintained]
    if ended:
        return "no", "; ".join(f"{one.distribution}: {one.note}" for one in ended)
    return "yes", ", ".join(f"{one.distribution} {one.version}" for one in own)


def _latency(percentile: float, most_ms: float, rate: float, only: str | None) -> Test:
    """It holds where every scenario keeps it at its rate or above, and not where one breaks it there or
    below."""

    def test(arm: Arm, evidence: Evidence) -> Answer:
        # with a scenario that has no open loop, no arm could keep it
        own = [one for one in evidence.latencies if one.arm == arm.name and one.missing != ONE_OF_THREE]
        reasons = {one.missing for one in own}
        if len(reasons) == 1 and not any(one.samples or one.percentiles for one in own):
            return "unknown", f"no latency was measured: {reasons.pop()}"
        by_scenario: dict[str, list[Answer]] = {}
        # of several rates, that of the limit has the last word
        for found in sorted(own, key=lambda one: one.per_second == rate):
            if only in (None, found.scenario):
                answer = _kept(found, percentile, most_ms, rate)
                by_scenario.setdefault(found.scenario, []).append(answer)
        answers = [_first(own, ("no", "yes", "unknown")) for own in by_scenario.values()]
        return _all_of(answers, "no latency was measured")

    return test


def _kept(found: Latency, percentile: float, most_ms: float, rate: float) -> Answer:
    at = f"{found.scenario} at {found.per_second:.0f}/s"
    if found.per_second and found.per_second <= rate and found.errors * 100 >= found.samples > 0:
        return "no", f"{at}: {found.errors} of {found.samples} requests failed"
    if found.missing is not None:
        return "unknown", f"{found.scenario}: {found.missing}"
    told = next((one for one in found.percentiles if one.percentile == percentile), None)
    if told is None:
        few = f"{found.samples} requests are too few for p{percentile:g}"
        return "unknown", f"{at}: {few}; give the run a larger --budget, or name one scenario in the limit"
    where = f"{at}: {told.ms:.1f} ms ({told.low_ms:.1f}–{told.high_ms:.1f})"
    if found.per_second <= rate and told.low_ms >= most_ms:
        return "no", where
    if found.per_second >= rate and told.high_ms < most_ms:
        return "yes", where
    return "unknown", where if found.per_second == rate else f"{found.scenario}: not measured at {rate:g}/s"


def _first(answers: Sequence[Answer], order: Sequence[Holds]) -> Answer:
    """Of one scenario at several rates: the last of those that say what comes first in the order."""
    return min(reversed(answers), key=lambda answer: order.index(answer[0]))


def _all_of(answers: Sequence[Answer], without: str) -> Answer:
    """No where one says no, and yes where all do, with what decides it; unknown `without` any."""
    verdicts: tuple[Holds, ...] = ("no", "unknown", "yes")
    for verdict in verdicts:
        because = dict.fromkeys(because for holds, because in answers if holds == verdict)
        if because:
            return verdict, "; ".join(because)
    return "unknown", without


def _capacity(least: float) -> Test:
    def test(arm: Arm, evidence: Evidence) -> Answer:
        own = [one for one in evidence.capacities if one.arm == arm.name and one.per_second is not None]
        answers: list[Answer] = [
            (
                "yes" if one.per_second.low > least else "no" if one.per_second.high <= least else "unknown",
                f"{one.scenario}: {one.per_second.low:.0f}–{one.per_second.high:.0f}/s",
            )
            for one in own
            if one.per_second is not None
        ]
        return _all_of(answers, "no capacity was measured")

    return test


def _memory(most_mib: float) -> Test:
    def test(arm: Arm, evidence: Evidence) -> Answer:
        for found in evidence.footprints:
            if found.arm == arm.name and found.peak_bytes is not None:
                mib = found.peak_bytes / 2**20
                return ("yes" if mib < most_mib else "no"), f"{mib:.0f} MiB at its peak"
        return "unknown", "its memory was not measured"

    return test
