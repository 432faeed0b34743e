"""One slice under way: which request goes out when, and what became of it."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Protocol

from assay.measure.connection import Asked, Connection, LoadError, Source
from assay.measure.pacing import Schedule, open_pacer
from assay.measure.samples import SampledAnswer, Samples


class Pool(Protocol):
    """The connections of a slice; a lost one is replaced, and the new one reported to `Turn.free`."""

    size: int
    connections: list[Connection]

    def replace(self, connection: Connection, turn: "Turn") -> None: ...


class Turn(ABC):
    """What both loops have in common: sending, recording, losing connections."""

    def __init__(self, pool: Pool, source: Source, sample_every: int, first_index: int) -> None:
        self.samples = Samples()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pool = pool
        self._source = source
        self._sample_every = sample_every
        self._index = first_index
        self._latencies = self.samples.latencies_ns
        self._statuses = self.samples.statuses

    @abstractmethod
    def start(self, now_ns: int) -> None:
        """The first requests go out."""

    @abstractmethod
    def free(self, connection: Connection, now_ns: int) -> None:
        """The connection can take a request."""

    @abstractmethod
    def refused(self) -> bool:
        """No connection is to be had: counts the request that was due; False ends the attempts."""

    @abstractmethod
    def close(self) -> None:
        """Releases what the slice held."""

    def send(self, connection: Connection, due_ns: int) -> None:
        try:
            request = self._source()
        except StopIteration as error:
            raise LoadError("the request source ran dry: give an endless one") from error
        samples = self.samples
        index = self._index
        self._index = index + 1
        samples.sent += 1
        connection.due_ns = due_ns
        connection.index = index
        if isinstance(request, Asked):
            connection.asked = request
            samples.bytes_out += len(request.wire)
            connection.send(request.wire, keep=True)
        else:
            connection.asked = None
            samples.bytes_out += len(request)
            connection.send(request, keep=self._sample_every > 0 and index % self._sample_every == 0)

    def answered(self, connection: Connection, status: int, size: int) -> None:
        now_ns = time.perf_counter_ns()
        self._latencies.append(now_ns - connection.due_ns)
        self._statuses[status] += 1
        self.samples.bytes_in += size
        if connection.asked is not None:
            connection.asked.on_answer(status, connection.head, connection.body)
        if self._sample_every and connection.index % self._sample_every == 0:
            self.samples.sampled.append(SampledAnswer(connection.index, status, connection.body))
        self.free(connection, now_ns)

    def expire(self, limit_ns: int) -> None:
        """Gives up on requests that were due before `limit_ns`."""
        for connection in list(self._pool.connections):
            if connection.busy and connection.due_ns < limit_ns:
                self._give_up(connection, "timeout")

    def lost(self, connection: Connection) -> None:
        if connection.busy:
            self._give_up(connection, "disconnected")

    def _give_up(self, connection: Connection, kind: str) -> None:
        connection.busy = False
        connection.listener = None
        connection.abort()
        self.samples.errors[kind] += 1
        self._pool.replace(connection, self)

    def broken(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class ClosedTurn(Turn):
    """Every connection sends its next request `think_ns` after the answer came, until the time is over.

    The first ones are spread over that time, so that a slice has as many requests for its length, however
    short it is.
    """

    def __init__(
        self,
        pool: Pool,
        source: Source,
        sample_every: int,
        first_index: int,
        length_ns: int,
        think_ns: int,
    ) -> None:
        super().__init__(pool, source, sample_every, first_index)
        self._length_ns = length_ns
        self._think_ns = think_ns
        self._end_ns = 0
        self._running = pool.size

    def close(self) -> None:
        """Nothing is held: who rests sees that the slice is done."""

    def start(self, now_ns: int) -> None:
        self._end_ns = now_ns + self._length_ns
        for place, connection in enumerate(self._pool.connections):
            rest_ns = self._think_ns * place // self._pool.size
            if rest_ns:
                self._rest(connection, now_ns, rest_ns)
            else:
                self.send(connection, now_ns)

    def free(self, connection: Connection, now_ns: int) -> None:
        if now_ns >= self._end_ns:
            self._retire()
        elif self._think_ns:
            self._rest(connection, now_ns, self._think_ns)
        else:
            self.send(connection, now_ns)

    def _rest(self, connection: Connection, now_ns: int, rest_ns: int) -> None:
        seconds = min(rest_ns, self._end_ns - now_ns) / 1e9
        asyncio.get_running_loop().call_later(seconds, self._rested, connection)

    def _rested(self, connection: Connection) -> None:
        if self.done.done():
            return
        now_ns = time.perf_counter_ns()
        try:
            if now_ns >= self._end_ns:
                self._retire()
            elif connection.is_open:
                self.send(connection, now_ns)
            else:
                self._pool.replace(connection, self)
        except Exception as error:  # noqa: BLE001 - whoever awaits the slice gets it
            self.broken(error)

    def refused(self) -> bool:
        if time.perf_counter_ns() >= self._end_ns:
            self._retire()
            return False
        self.samples.sent += 1
        self.samples.errors["refused"] += 1
        return True

    def _retire(self) -> None:
        self._running -= 1
        if not self._running:
            self._finish()


class OpenTurn(Turn):
    """Requests are due by the schedule, whatever the server does; they queue for a free connection."""

    def __init__(
        self, pool: Pool, source: Source, sample_every: int, first_index: int, schedule: Schedule
    ) -> None:
        super().__init__(pool, source, sample_every, first_index)
        self._schedule = schedule
        self._due: deque[int] = deque()
        self._waiting: deque[int] = deque()
        self._idle: deque[Connection] = deque()
        self._pacer = open_pacer(self._tick)

    def close(self) -> None:
        self._pacer.close()

    def start(self, now_ns: int) -> None:
        self._due.extend((self._schedule + now_ns).tolist())
        self._idle.extend(self._pool.connections)
        self._dispatch()

    def _tick(self) -> None:
        try:
            self._dispatch()
        except Exception as error:  # noqa: BLE001 - whoever awaits the slice gets it
            self.broken(error)

    def _dispatch(self) -> None:
        now_ns = time.perf_counter_ns()
        due = self._due
        if due and due[0] <= now_ns:
            self.samples.lag_ns = max(self.samples.lag_ns, now_ns - due[0])
        while due and due[0] <= now_ns:
            self._waiting.append(due.popleft())
        while self._waiting and self._idle:
            self.send(self._idle.popleft(), self._waiting.popleft())
        if due and not self.done.done():
            self._pacer.wake_at(due[0])

    def free(self, connection: Connection, now_ns: int) -> None:
        if self._waiting:
            self.send(connection, self._waiting.popleft())
            return
        self._idle.append(connection)
        self._finish_if_settled()

    def lost(self, connection: Connection) -> None:
        if connection.busy:
            super().lost(connection)
            self._finish_if_settled()
        else:
            self._idle.remove(connection)
            self._pool.replace(connection, self)

    def refused(self) -> bool:
        if self._waiting:
            self._drop("refused")
        return True

    def expire(self, limit_ns: int) -> None:
        super().expire(limit_ns)
        while self._waiting and self._waiting[0] < limit_ns:
            self._drop("timeout")
        self._finish_if_settled()

    def _drop(self, kind: str) -> None:
        self._waiting.popleft()
        self.samples.sent += 1
        self.samples.errors[kind] += 1
        self._finish_if_settled()

    def _finish_if_settled(self) -> None:
        if not self._due and self.samples.answers + self.samples.errors.total() == len(self._schedule):
            self._finish()
