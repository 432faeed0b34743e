"""What latency and capacity have in common: arms under an open loop, in turns, and what a turn is worth."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from assay.measure.campaign import Contestant
from assay.measure.connection import LoadError, Source
from assay.measure.lane import GENERATOR_LIMIT
from assay.measure.load import UNANSWERED_SECONDS, Loader
from assay.measure.pacing import Schedule
from assay.measure.samples import Samples
from assay.measure.scenarios import Scenario

WARM_UP_SECONDS = 0.3
PROBE_SECONDS = 0.5

MOST_LAG = 0.01
"""Of a turn's length: while the generator is late, requests are; one such time touches 1 % of them."""

MOST_LAG_SECONDS = 0.02
"""However long the turn is: more would be a good part of the latencies that matter."""


class Lane:
    """An arm with its connections and its place in the request source; `broken` says why it is out."""

    def __init__(self, contestant: Contestant, source: Source, loader: Loader) -> None:
        self.name = contestant.name
        self.broken: str | None = None
        self._source = source
        self._loader = loader

    async def open(self, stack: AsyncExitStack) -> None:
        try:
            await stack.enter_async_context(self._loader)
        except LoadError as error:
            self.broken = str(error)

    async def probe(self) -> float:
        """Good answers per second in a closed loop, after a warm-up; 0 where the arm is out."""
        await self._unless_broken(lambda: self._loader.closed(self._source, WARM_UP_SECONDS))
        seen = await self._unless_broken(lambda: self._loader.closed(self._source, PROBE_SECONDS))
        good = seen.sent - failed(seen)
        if not good:
            self.broken = self.broken or failures(seen)
            return 0.0
        return good * 1e9 / seen.elapsed_ns

    async def settle(self) -> None:
        """One request on every connection, all waited for: nothing of the turn before is left over."""
        await self._unless_broken(lambda: self._loader.closed(self._source, 0.0))

    async def run(self, schedule: Schedule) -> Samples:
        """The schedule's requests; it ends when each is answered or given up. Empty where the arm is out."""
        return await self._unless_broken(lambda: self._loader.scheduled(self._source, schedule))

    async def _unless_broken(self, load: Callable[[], Awaitable[Samples]]) -> Samples:
        if self.broken is None:
            try:
                return await load()
            except LoadError as error:
                self.broken = str(error)
        return Samples()


@asynccontextmanager
async def open_lanes(
    scenario: Scenario, contestants: Sequence[Contestant], seed: int
) -> AsyncGenerator[list[Lane]]:
    """One for each arm, in their order, connected; an arm that nobody answers for is out from the start."""
    async with AsyncExitStack() as stack:
        lanes = []
        for one in contestants:
            loader = Loader(one.load.host, one.load.port, scenario.connections)
            lane = Lane(one, scenario.source(one.target, seed), loader)
            await lane.open(stack)
            lanes.append(lane)
        yield lanes


def saturated(seen: Samples) -> bool:
    """Whether the generator's own core was the limit."""
    return seen.generator_share > GENERATOR_LIMIT


def late(seen: Samples, seconds: float) -> bool:
    """Whether the generator sent requests of a turn of `seconds` later than they were due, by too much."""
    return seen.lag_ns > min(MOST_LAG * seconds, MOST_LAG_SECONDS) * 1e9


def waited(seen: Samples) -> NDArray[np.int64]:
    """How long each request's user waited, in nanoseconds; without an answer as long as the generator was
    ready to, which is the least that it can have been."""
    unanswered = np.full(seen.errors.total(), int(UNANSWERED_SECONDS * 1e9), dtype=np.int64)
    return np.concatenate([np.asarray(seen.latencies_ns, dtype=np.int64), unanswered])


def failed(seen: Samples) -> int:
    return seen.errors.total() + sum(count for status, count in seen.statuses.items() if status >= 400)


def failures(seen: Samples) -> str:
    kinds = [*seen.errors.items(), *((str(status), count) for status, count in seen.statuses.items())]
    counts = ", ".join(f"{count} × {kind}" for kind, count in kinds)
    return f"{failed(seen)} of {seen.sent} requests failed: {counts}"
