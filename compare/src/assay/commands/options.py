"""What a comparison was asked for, read and checked before anything starts."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assay.commands.chosen import chosen, given
from assay.judge.decision import weights_of
from assay.judge.requirements import Limit, limit
from assay.measure.latency import OPEN_LOOP
from assay.measure.workload import Workload, load
from assay.stand import StandError
from shared.registry import Service

QUICK_BUDGET = 64.0
DELAYS = (0.0, 1.0, 5.0)
MOST_DELAY_MS = 1_000.0

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)").fullmatch
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Options:
    """`budget` is the seconds for measuring; starting, proving and seeding come on top. `urls` are services
    that run already, by name; `delays` are the round trips to the database in ms, empty for none; `limits` on
    latency hold for every scenario that is measured in an open loop, or for the one that they name."""

    services: Sequence[Service]
    urls: Mapping[str, str]
    budget: float
    quick: bool
    output: Path
    baseline: str
    seed: int
    precision: float
    target_ms: float
    arrivals: Literal["poisson", "constant"]
    delays: Sequence[float]
    workload: Workload | None
    workload_text: str | None
    weights: Mapping[str, float]
    limits: Sequence[Limit]
    strict: bool
    command: str


def options_of(
    names: Sequence[str],
    *,
    quick: bool,
    budget: str,
    output: Path,
    baseline: str | None,
    seed: int,
    precision: float,
    target_ms: float,
    arrivals: Literal["poisson", "constant"],
    delays: str | None,
    workload: Path | None,
    api_urls: Sequence[str],
    weights: str | None,
    require: Sequence[str],
    strict: bool,
    arguments: Sequence[str],
) -> Options:
    """Raises StandError, whose message says what to write instead."""
    services = chosen(names)
    urls = given(api_urls)
    own = None if workload is None else load(workload)
    limits = _limits(require, own)
    if quick:
        _check_quick(arguments, limits)
    return Options(
        services=services,
        urls=urls,
        budget=QUICK_BUDGET if quick else _seconds(budget),
        quick=quick,
        output=output,
        baseline=_baseline(baseline, [service.name for service in services]),
        seed=seed,
        precision=precision,
        target_ms=target_ms,
        arrivals=arrivals,
        delays=_delays(delays, quick=quick),
        workload=own,
        workload_text=None if workload is None else workload.read_text("utf-8"),
        weights=weights_of(weights),
        limits=limits,
        strict=strict,
        command=shlex.join(["assay", *arguments]),
    )


def _check_quick(arguments: Sequence[str], limits: Sequence[Limit]) -> None:
    """Raises StandError for what only a longer run can answer."""
    # the values cannot tell: the usual ones may have been asked for as well
    named = {one.partition("=")[0] for one in arguments}
    if "--budget" in named:
        raise StandError("--quick has a time of its own: leave out --quick, or --budget.")
    of_open_loop: list[str] = [name for name in ("--target", "--arrivals") if name in named]
    of_open_loop += [f"--require {one.text!r}" for one in limits if one.of_open_loop]
    if of_open_loop:
        raise StandError(f"--quick measures no open loop: leave out --quick, or {of_open_loop[0]}.")


def _limits(texts: Sequence[str], workload: Workload | None) -> list[Limit]:
    limits = [limit(text) for text in texts]
    known = OPEN_LOOP if workload is None else (workload.scenario().name,)
    for one in limits:
        if one.scenario is not None and one.scenario not in known:
            raise StandError(
                f"--require {one.text!r}: {one.scenario!r} is not measured in an open loop: "
                f"name one of {', '.join(known)}, or none for all."
            )
    return limits


def _baseline(wanted: str | None, known: Sequence[str]) -> str:
    first = wanted or ("asyncpg" if "asyncpg" in known else known[0])
    if first not in known:
        raise StandError(f"--baseline {first} is not among the compared: {', '.join(known)}.")
    return first


def _seconds(budget: str) -> float:
    matched = _DURATION(budget)
    if matched is None:
        raise StandError(f"--budget {budget!r} is no duration: write 90s or 5m.")
    return float(matched[1]) * _UNITS[matched[2]]


def _delays(text: str | None, *, quick: bool) -> Sequence[float]:
    if text is None:
        return () if quick else DELAYS
    try:
        asked = [float(part) for part in text.split(",")]
    except ValueError:
        asked = [-1.0]
    if any(not 0 <= delay <= MOST_DELAY_MS for delay in asked):
        raise StandError(f"--db-delay {text!r}: write milliseconds from 0 to 1000, such as 0,1,5.")
    return tuple(dict.fromkeys(asked))
