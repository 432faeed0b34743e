"""The load generator: closed and open loops over keep-alive connections that stay open between slices."""

import asyncio
import time
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

from assay.measure.connection import Connection, LoadError, Source
from assay.measure.pacing import Schedule
from assay.measure.samples import Samples
from assay.measure.turn import ClosedTurn, OpenTurn, Turn

UNANSWERED_SECONDS = 10.0
RECONNECT_PAUSE_SECONDS = 0.05
WATCH_SECONDS = 0.25


class Loader:
    """A fixed number of connections to one server; one slice at a time.

    A request unanswered for `unanswered_seconds` after it was due counts as the error `timeout`; the others
    are `disconnected` (lost in flight) and `refused` (due, but no connection to be had). A server that closes
    every connection after its answer shows as `disconnected`: it is not measured on keep-alive connections.
    """

    def __init__(
        self, host: str, port: int, connections: int = 16, unanswered_seconds: float = UNANSWERED_SECONDS
    ) -> None:
        self.host = host
        self.port = port
        self.connections: list[Connection] = []
        self.size = connections
        self._unanswered_ns = int(unanswered_seconds * 1e9)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            await self._open_missing()
        except LoadError:
            self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        await asyncio.sleep(0)  # the loop closes the sockets in its next round

    def _close(self) -> None:
        for connection in self.connections:
            connection.abort()

    async def closed(
        self,
        source: Source,
        seconds: float,
        *,
        sample_every: int = 0,
        first_index: int = 0,
        think_ns: int = 0,
    ) -> Samples:
        """Closed loop for `seconds`; the requests then in flight are waited for and count. A connection rests
        `think_ns` after each answer.

        One answer in `sample_every` is kept (0: none); `first_index` numbers the source's next request.
        """
        await self._open_missing()
        length_ns = int(seconds * 1e9)
        turn = ClosedTurn(self, source, sample_every, first_index, length_ns, think_ns)
        return await self._run(turn)

    async def scheduled(
        self, source: Source, schedule: Schedule, *, sample_every: int = 0, first_index: int = 0
    ) -> Samples:
        """Open loop: exactly the schedule's requests, latencies from the time at which they were due."""
        if not len(schedule):
            return Samples()
        await self._open_missing()
        return await self._run(OpenTurn(self, source, sample_every, first_index, schedule))

    async def _open_missing(self) -> None:
        """A server closes idle connections; they are opened again before the clock of a slice starts."""
        self.connections = [connection for connection in self.connections if connection.is_open]
        missing = self.size - len(self.connections)
        opened = await asyncio.gather(*(self._connect() for _ in range(missing)), return_exceptions=True)
        for failure in opened:
            if isinstance(failure, OSError):
                raise LoadError(f"no connection to {self.host}:{self.port}: {failure}") from failure
            if isinstance(failure, BaseException):
                raise failure

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, self.port)
        self.connections.append(connection)
        return connection

    async def _run(self, turn: Turn) -> Samples:
        for connection in list(self.connections):
            if connection.is_open:
                connection.listener = turn
            else:
                self.replace(connection, turn)
        self._spawn(self._watch(turn), turn)
        cpu_ns = time.process_time_ns()
        started_ns = time.perf_counter_ns()
        try:
            turn.start(started_ns)
            await turn.done
        finally:
            turn.samples.elapsed_ns = time.perf_counter_ns() - started_ns
            turn.samples.generator_cpu_ns = time.process_time_ns() - cpu_ns
            await self._leave(turn)
        return turn.samples

    async def _leave(self, turn: Turn) -> None:
        turn.done.cancel()
        turn.close()
        for connection in self.connections:
            connection.listener = None
            if connection.busy:
                connection.abort()
        ending = list(self._tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    def _spawn(self, work: Coroutine[None, None, None], turn: Turn) -> None:
        task = asyncio.create_task(work)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                turn.broken(error)

        self._tasks.add(task)
        task.add_done_callback(ended)

    async def _watch(self, turn: Turn) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            turn.expire(time.perf_counter_ns() - self._unanswered_ns)

    def replace(self, connection: Connection, turn: Turn) -> None:
        self.connections.remove(connection)
        self._spawn(self._reconnect(turn), turn)

    async def _reconnect(self, turn: Turn) -> None:
        while True:
            try:
                connection = await self._connect()
            except OSError:
                pass  # counted by the turn
            else:
                if connection.is_open:
                    connection.listener = turn
                    turn.free(connection, time.perf_counter_ns())
                    return
                self.connections.remove(connection)
            if not turn.refused():
                return
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)
