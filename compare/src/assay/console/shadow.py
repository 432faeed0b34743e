"""What the secondary would have answered: it gets what the primary got, and nobody waits for it."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel

from assay.console.answers import Shown
from assay.console.backends import Backend, Fleet, cancelled_and_awaited
from assay.console.correspondence import Correspondence, operation_of
from assay.console.differences import Difference, differences
from assay.console.relaying import Relayed, asked

KEPT: Final = 200
WAITING: Final = 100
"""Requests that wait for the secondary; what comes while as many wait is dropped, and counted."""

SECONDARY_SECONDS: Final = 5.0


class Shadowing(BaseModel):
    """Both None: nothing is shadowed."""

    primary: str | None
    secondary: str | None


class Told(BaseModel):
    """One request that both answered, differently."""

    at: datetime
    operation: str
    path: str
    differences: list[Difference]


class State(BaseModel):
    """`compared` and `different` are by operation. `dropped`: the queue was full. `unread`: too large to be
    held. `failed`: the secondary did not answer. `unknown`: about a row that the secondary has not."""

    primary: str | None
    secondary: str | None
    compared: dict[str, int]
    different: dict[str, int]
    waiting: int
    dropped: int
    unread: int
    failed: int
    unknown: int
    newest: list[Told]


@dataclass(frozen=True, slots=True)
class _Job:
    secondary: Backend
    request: Relayed
    expected: Shown


class Shadow:
    """One worker asks the secondary, one request after the other, as the order decides what they mean."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(WAITING)
        self.choose(Shadowing(primary=None, secondary=None))

    def choose(self, chosen: Shadowing) -> None:
        """Counts begin anew. Raises UnknownBackend, or ValueError where it is no pair."""
        both = (chosen.primary, chosen.secondary)
        if both != (None, None):
            if None in both or both[0] == both[1]:
                raise ValueError("choose two different backends, or none")
            for name in both:
                self._fleet.named(str(name))
        self.chosen = chosen
        self.rows = Correspondence()
        self.told: deque[Told] = deque(maxlen=KEPT)
        self._compared: Counter[str] = Counter()
        self._different: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        while not self._queue.empty():
            self._queue.get_nowait()

    @property
    def primary(self) -> Backend | None:
        return None if self.chosen.primary is None else self._fleet.named(self.chosen.primary)

    def state(self) -> State:
        return State(
            primary=self.chosen.primary,
            secondary=self.chosen.secondary,
            compared=dict(self._compared),
            different=dict(self._different),
            waiting=self._queue.qsize(),
            dropped=self._lost["dropped"],
            unread=self._lost["unread"],
            failed=self._lost["failed"],
            unknown=self._lost["unknown"],
            newest=list(self.told)[:-6:-1],
        )

    def follow(self, request: Relayed, expected: Shown | None) -> None:
        """The primary's answer, or None where it or its request was too large to be held. Never waits."""
        if expected is None:
            self._lost["unread"] += 1
        if expected is None or self.chosen.secondary is None or self.chosen.primary != expected.backend:
            return
        try:
            self._queue.put_nowait(_Job(self._fleet.named(self.chosen.secondary), request, expected))
        except asyncio.QueueFull:
            self._lost["dropped"] += 1

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            await cancelled_and_awaited([worker])

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            rows = self.rows
            found = await asked(self._fleet, job.secondary, rows.translated(job.request), SECONDARY_SECONDS)
            if rows is self.rows:
                self._hold(job, found, self._prefixes())

    def _hold(self, job: _Job, found: Shown, prefixes: Mapping[str, str]) -> None:
        operation = operation_of(job.request)
        if found.status is None:
            self._lost["failed"] += 1
            return
        if found.status == 404 and job.expected.status != 404 and self.rows.misses(job.request):
            self._lost["unknown"] += 1
            return
        self.rows.learn(job.request, job.expected, found)
        self._compared[operation] += 1
        apart = differences(job.expected, found, prefixes)
        if apart:
            self._different[operation] += 1
            self.told.append(
                Told(at=datetime.now(UTC), operation=operation, path=job.request.path, differences=apart)
            )

    def _prefixes(self) -> dict[str, str]:
        return {name: backend.prefix for name, backend in self._fleet.backends.items()}
