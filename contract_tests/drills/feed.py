"""The change feed under writers while its database is killed and started again: none missing, none twice."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# the suite is no package: its modules are found beside this folder
sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx2
from api import Api
from changes import Changes, changing, out_of_order, versions
from rich.console import Console
from rich.table import Table
from streams import NotSubscribed, Silence, Subscriber, subscribed

from assay.stand import Stand, StandOptions, open_stand
from shared.registry import Service, names, services

COMMITS: Final = 10_000
WRITERS: Final = 8
RESTARTS: Final = 3
SECONDS: Final = 170.0
"""For one backend."""

SILENCE: Final = 10.0
"""Seconds without an event after which those that are missing count as lost."""

AWAY: Final = 0.1
"""Seconds after which a reader that was refused comes again."""


@dataclass
class Reader:
    """`heard` in the order that it came, `seen` when, in monotonic seconds. A `restless` one hangs up and
    resumes at random."""

    restless: bool
    last_id: str
    heard: list[tuple[str, int]] = field(default_factory=list)
    seen: dict[tuple[str, int], float] = field(default_factory=dict)

    async def read(self, api: Api) -> None:
        """For ever, however often the service refuses."""
        while True:
            try:
                async with subscribed(api, self.last_id, topic="documents") as subscriber:
                    await self._listen(subscriber)
            except (NotSubscribed, Silence, httpx2.TransportError):
                await asyncio.sleep(AWAY)

    async def _listen(self, subscriber: Subscriber) -> None:
        for _ in range(random.randint(1, 300) if self.restless else sys.maxsize):
            heard = await subscriber.next(SILENCE)
            self.last_id = heard.id
            [version] = versions([heard])
            self.heard.append(version)
            self.seen.setdefault(version, time.monotonic())


@dataclass(frozen=True)
class Outcome:
    """`delay`: the longest time from an answer to its event, in seconds, restarts included."""

    service: str
    reader: str
    commits: int
    seen: int
    missing: int
    doubled: int
    late: int
    delay: float

    @property
    def is_kept(self) -> bool:
        return self.missing == self.doubled == self.late == 0


async def drill(service: Service, stand: Stand, commits: int, writers: int, restarts: int) -> list[Outcome]:
    async with Api(service.name, stand.services[service.name].url) as api, asyncio.timeout(SECONDS):
        async with subscribed(api, topic="documents") as subscriber:
            head = subscriber.head
        readers = [Reader(restless=False, last_id=head), Reader(restless=True, last_id=head)]
        async with reading(api, readers):
            async with changing(api, writers) as changes:
                for number in range(1, restarts + 1):
                    await reached(changes, commits * number // (restarts + 1))
                    await stand.databases.of(service).kill()
                    await stand.databases.of(service).start()
                await reached(changes, commits)
            expected = await changes.expected()
            await all_seen(readers, expected)
    return [outcome(service.name, reader, expected, changes) for reader in readers]


@asynccontextmanager
async def reading(api: Api, readers: Sequence[Reader]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(reader.read(api)) for reader in readers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def reached(changes: Changes, commits: int) -> None:
    while len(changes.acknowledged) < commits:
        await asyncio.sleep(0.02)


async def all_seen(readers: Sequence[Reader], expected: set[tuple[str, int]]) -> None:
    """Or nobody saw anything new for a while."""
    seen, since = 0, time.monotonic()
    while any(expected.difference(reader.seen) for reader in readers):
        now = sum(len(reader.heard) for reader in readers)
        if now > seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > SILENCE:
            return
        await asyncio.sleep(0.1)


def outcome(service: str, reader: Reader, expected: set[tuple[str, int]], changes: Changes) -> Outcome:
    answered = changes.acknowledged
    return Outcome(
        service=service,
        reader="restless" if reader.restless else "steady",
        commits=len(expected),
        seen=len(reader.seen),
        missing=len(expected.difference(reader.seen)),
        doubled=len(reader.heard) - len(reader.seen),
        late=out_of_order(reader.heard),
        delay=max(seen - answered[version] for version, seen in reader.seen.items() if version in answered),
    )


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    table = Table(
        "service", "reader", "commits", "seen", "missing", "doubled", "out of order", "longest delay"
    )
    for one in outcomes:
        counts = (one.commits, one.seen, one.missing, one.doubled, one.late)
        table.add_row(one.service, one.reader, *(f"{count:,}" for count in counts), f"{one.delay:.2f} s")
    console.print(table)


async def run(chosen: Sequence[str], commits: int, writers: int, restarts: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for service in services(*chosen):
        # one after another: each has the machine for itself
        async with open_stand([service], StandOptions()) as stand:
            outcomes += await drill(service, stand, commits, writers, restarts)
    return outcomes


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="drill feed", description=__doc__)
    parser.add_argument("--service", action="append", choices=names(), help="repeatable; all, if left out")
    parser.add_argument("--commits", type=int, default=COMMITS)
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--restarts", type=int, default=RESTARTS)
    chosen = parser.parse_args(argv)
    try:
        outcomes = asyncio.run(
            run(chosen.service or names(), chosen.commits, chosen.writers, chosen.restarts)
        )
    except TimeoutError:
        why = f"A backend was not done within {SECONDS:g} s: ask for fewer --commits."
        Console(stderr=True).print(why)
        return 1
    show(outcomes, Console())
    return 0 if all(one.is_kept for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
