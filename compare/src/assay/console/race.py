"""The first answer wins; who loses is cancelled and awaited before the next race begins."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Final

import httpx2
from pydantic import BaseModel, Field

from assay.console.answers import Wanted, answer_of
from assay.console.backends import Backend, Fleet, cancelled_and_awaited
from assay.console.rows import NoRows, Rows

MARGIN_SECONDS: Final = 0.25
"""How long the second is waited for, so that there is a margin to tell. Then it is cancelled as well."""

READING: Final = frozenset({"GET", "HEAD"})
"""A cancelled write may hold or not: only reading is raced."""


@dataclass(frozen=True, slots=True)
class _Finish:
    """`well`: with an answer below 500; `at` by `time.perf_counter`."""

    at: float
    backend: str
    well: bool


class Races(Wanted):
    races: Annotated[int, Field(ge=1, le=200)] = 20


class Race(BaseModel):
    """`winner` is None where nobody answered below 500; `margin` is in ms, None where no second came.
    `absent`: who gave no answer before it began."""

    winner: str | None
    ms: float | None = None
    margin: float | None = None
    cancelled: int = 0
    absent: list[str] = []


class Tally(BaseModel):
    """`margin` is the median of a winner's margins in ms, None where none of its races had a second."""

    races: int
    wins: dict[str, int]
    margin: dict[str, float | None]


async def run_races(fleet: Fleet, rows: Rows, wanted: Races) -> AsyncGenerator[Race | Tally]:
    """Each race as it ends, then the tally."""
    run: list[Race] = []
    for _ in range(wanted.races):
        race = await run_race(fleet, rows, wanted)
        run.append(race)
        yield race
    won = {name: [race for race in run if race.winner == name] for name in fleet.backends}
    margins = {
        name: [race.margin for race in races if race.margin is not None] for name, races in won.items()
    }
    yield Tally(
        races=len(run),
        wins={name: len(races) for name, races in won.items()},
        margin={name: round(median(found), 2) if found else None for name, found in margins.items()},
    )


async def run_race(fleet: Fleet, rows: Rows, wanted: Wanted) -> Race:
    started = await _at_the_line(fleet, rows, wanted)
    begun = time.perf_counter()
    runners = [asyncio.create_task(_run(fleet, backend, sent)) for backend, sent in started]
    try:
        first, second = await _first_two(runners)
    finally:
        await cancelled_and_awaited(runners)
    return Race(
        winner=None if first is None else first.backend,
        ms=None if first is None else _ms(first.at - begun),
        margin=None if first is None or second is None else _ms(second.at - first.at),
        cancelled=sum(task.cancelled() for task in runners),
        absent=[name for name in fleet.backends if name not in {backend.name for backend, _ in started}],
    )


async def _run(fleet: Fleet, backend: Backend, sent: Wanted) -> _Finish:
    shown = await answer_of(fleet, backend, sent)
    well = shown.status is not None and shown.status < httpx2.codes.INTERNAL_SERVER_ERROR
    return _Finish(time.perf_counter(), backend.name, well)


async def _first_two(runners: Collection[asyncio.Task[_Finish]]) -> tuple[_Finish | None, _Finish | None]:
    """None for a place that nobody takes: the second one's in MARGIN_SECONDS."""
    running = set(runners)
    placed: list[_Finish] = []
    until: float | None = None
    while running and len(placed) < 2:
        left = None if until is None else max(0.0, until - time.perf_counter())
        done, running = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            break
        finished = [task.result() for task in done]
        placed = sorted([*placed, *(one for one in finished if one.well)], key=lambda one: one.at)
        until = placed[0].at + MARGIN_SECONDS if placed else None
    first, second, *_ = [*placed, None, None]
    return first, second


async def _at_the_line(fleet: Fleet, rows: Rows, wanted: Wanted) -> list[tuple[Backend, Wanted]]:
    """Who takes part, in a new order each time, each with an open connection: a loser's was closed when it
    was cancelled, and opening one is not what is raced."""
    unique = secrets.token_hex(4)

    async def prepared(backend: Backend) -> tuple[Backend, Wanted] | None:
        try:
            async with asyncio.timeout(wanted.timeout):
                filled = await rows.filled(backend, wanted, unique)
        except (NoRows, TimeoutError):
            return None
        greeted = await answer_of(fleet, backend, Wanted(method="GET", path="/livez", timeout=wanted.timeout))
        return None if greeted.status is None else (backend, filled.wanted)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(prepared(backend)) for backend in fleet.backends.values()]
    started = [found for task in tasks if (found := task.result()) is not None]
    random.shuffle(started)
    return started


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 2)
