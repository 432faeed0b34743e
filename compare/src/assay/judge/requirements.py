"""Hard limits that somebody sets, and whether an arm keeps them by what was measured."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from assay.report.care import Candidate
from assay.report.decision import Requirement
from assay.report.figures import Capacity, Footprint, Latency
from assay.report.model import Arm
from assay.stand import StandError

Holds: TypeAlias = Literal["yes", "no", "unknown"]
Answer: TypeAlias = tuple[Holds, str]

FORMS = (
    "transactions",
    "postgresql",
    "mongodb",
    "maintained",
    "p99 < 20 ms at 500/s",
    "capacity > 800/s",
    "memory < 200 MiB",
)

_LATENCY = re.compile(r"p(50|90|99|99\.9)\s*<\s*([\d.]+)\s*ms\s+at\s+([\d.]+)\s*/\s*s", re.I).fullmatch
_CAPACITY = re.compile(r"capacity\s*>\s*([\d.]+)\s*/\s*s", re.I).fullmatch
_MEMORY = re.compile(r"memory\s*<\s*([\d.]+)\s*mib", re.I).fullmatch
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
    """One hard limit. `per_second` is the rate at which it wants latencies measured, None for none."""

    text: str
    test: Test
    per_second: float | None = None

    def held(self, arms: Iterable[Arm], evidence: Evidence) -> Requirement:
        answers = {arm.name: self.test(arm, evidence) for arm in arms}
        return Requirement(
            text=self.text,
            holds={name: answer for name, (answer, _) in answers.items()},
            because={name: because for name, (_, because) in answers.items()},
        )


def limit(text: str) -> Limit:
    """Reads one limit. Raises StandError, whose message names the forms there are.

    >>> limit("must be PostgreSQL").per_second, limit("p99 < 20 ms at 500/s").per_second
    (None, 500.0)
    """
    wanted = " ".join(text.split())
    if found := _LATENCY(wanted):
        percentile, most_ms, rate = (float(number) for number in found.groups())
        return Limit(wanted, _latency(percentile, most_ms, rate), rate)
    if found := _CAPACITY(wanted):
        return Limit(wanted, _capacity(float(found[1])))
    if found := _MEMORY(wanted):
        return Limit(wanted, _memory(float(found[1])))
    if found := _DATABASE(wanted):
        return Limit(wanted, _database(found[1].lower()))
    if _TRANSACTIONS(wanted):
        return Limit(wanted, _transactions)
    if _MAINTAINED(wanted):
        return Limit(wanted, _maintained)
    raise StandError(f"--require {text!r} is no limit; write one like {', '.join(map(repr, FORMS))}.")


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


def _latency(percentile: float, most_ms: float, rate: float) -> Test:
    """Of all scenarios: it holds where none breaks it and the rate was reached at least once."""

    def test(arm: Arm, evidence: Evidence) -> Answer:
        reached: list[str] = []
        for found in evidence.latencies:
            if found.arm != arm.name or found.missing is not None:
                continue
            told = next((one for one in found.percentiles if one.percentile == percentile), None)
            if told is None:
                continue
            where = f"{found.scenario}: {told.ms:.1f} ms at {found.per_second:.0f}/s"
            if found.per_second <= rate and told.low_ms >= most_ms:
                return "no", where
            if found.per_second >= rate and told.high_ms < most_ms:
                reached.append(where)
        if reached:
            return "yes", "; ".join(reached)
        return "unknown", f"not measured closely enough at {rate:.0f}/s"

    return test


def _capacity(least: float) -> Test:
    def test(arm: Arm, evidence: Evidence) -> Answer:
        own = [one for one in evidence.capacities if one.arm == arm.name and one.per_second is not None]
        answers: Mapping[str, Holds] = {
            f"{one.scenario}: {one.per_second.low:.0f}–{one.per_second.high:.0f}/s": "yes"
            if one.per_second.low > least
            else "no"
            if one.per_second.high <= least
            else "unknown"
            for one in own
            if one.per_second is not None
        }
        for verdict in ("no", "unknown", "yes"):
            because = [where for where, answer in answers.items() if answer == verdict]
            if because:
                return answers[because[0]], "; ".join(because)
        return "unknown", "no capacity was measured"

    return test


def _memory(most_mib: float) -> Test:
    def test(arm: Arm, evidence: Evidence) -> Answer:
        for found in evidence.footprints:
            if found.arm == arm.name and found.peak_bytes is not None:
                mib = found.peak_bytes / 2**20
                return ("yes" if mib < most_mib else "no"), f"{mib:.0f} MiB at its peak"
        return "unknown", "its memory was not measured"

    return test
