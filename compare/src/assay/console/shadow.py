"""What the secondary would have answered: it gets what the primary got, and nobody waits for it."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel

from assay.console.answers import Shown
from assay.console.backends import Backend, Fleet, cancelled_and_awaited
from assay.console.correspondence import Correspondence, operation_of
from assay.console.differences import Difference, differences
from assay.console.relayed import Relayed
from assay.console.relaying import asked

KEPT: Final = 200
WAITING: Final = 100
"""Requests that wait for the secondary; what comes while as many wait is dropped, and counted."""

OPERATIONS_MOST: Final = 200
"""That are counted apart; further ones are counted together, by their method."""

SECONDARY_SECONDS: Final = 5.0

_logger = logging.getLogger(__name__)


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
    held, or not sent to the end. `failed`: the secondary did not answer, or could not be asked. `unknown`:
    about a row whose creation is one of the former, or was refused."""

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

    def follow(self, request: Relayed, expected: Shown | None, *, whole: bool) -> None:
        """The primary's answer, None where there is none. One that is not whole, or whose request is not, is
        no answer to hold another against. Never waits."""
        if not whole:
            self._lost["unread"] += 1
        if expected is None or self.chosen.secondary is None or self.chosen.primary != expected.backend:
            return
        if not whole:
            self.rows.learn(request, expected, None)
            return
        try:
            self._queue.put_nowait(_Job(self._fleet.named(self.chosen.secondary), request, expected))
        except asyncio.QueueFull:
            self._lost["dropped"] += 1
            self.rows.learn(request, expected, None)

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
            try:
                await self._repeat(job)
            except Exception:
                # one that is lost is counted; without a worker all that follow would be
                if rows is self.rows:
                    self._lost["failed"] += 1
                    rows.learn(job.request, job.expected, None)
                _logger.exception("%s could not be repeated", operation_of(job.request))

    async def _repeat(self, job: _Job) -> None:
        rows = self.rows
        found = await asked(self._fleet, job.secondary, rows.translated(job.request), SECONDARY_SECONDS)
        if rows is self.rows:
            self._hold(job, found)

    def _hold(self, job: _Job, found: Shown) -> None:
        missed = found.status == 404 and job.expected.status != 404 and self.rows.misses(job.request)
        self.rows.learn(job.request, job.expected, found)
        if found.status is None or missed:
            self._lost["unknown" if missed else "failed"] += 1
            return
        operation = self._counted(job.request)
        self._compared[operation] += 1
        apart = differences(job.expected, found)
        if apart:
            self._different[operation] += 1
            self.told.append(
                Told(at=datetime.now(UTC), operation=operation, path=job.request.path, differences=apart)
            )

    def _counted(self, request: Relayed) -> str:
        """Paths may hold ids of any form, so there may be no end of operations."""
        operation = operation_of(request)
        if operation in self._compared or len(self._compared) < OPERATIONS_MOST:
            return operation
        return f"{request.method} (others)"
