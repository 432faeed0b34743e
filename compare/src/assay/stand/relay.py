"""A wire between a service and its database that counts round trips, and can be slow, narrow and broken."""

import asyncio
import math
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

from assay.measure.pacing import open_pacer
from assay.stand.ports import HOST
from assay.stand.wire import MongoDBRequests, PostgreSQLRequests, Requests, Wait

_ROOM = 4 << 20
"""Bytes under way on one connection and in one direction: with a delay of 10 ms they carry 800 MB/s."""
_LEAD_NS = 50_000
"""How late a timer wakes the event loop, which is therefore set that much earlier: 25 to 80 µs measured. A
delay of less than 0.1 ms each way is none."""
_NO_TIME = struct.pack("ii", 1, 0)
"""For SO_LINGER, see socket(7): closing resets."""


class Relay:
    """url: the server's own, by way of the relay.

    delay_ms: what a round trip takes longer, half on each way; opening a connection is not delayed.
    bandwidth: bytes per second each way, for all connections together; None without a limit.
    round_trips: Sync and Query messages of PostgreSQL, requests of MongoDB that are answered.
    flushes: for which a PostgreSQL driver waits where it asks about a statement before it runs it.
    lost_answers: those of `lose_answer` that the server gave and the client did not get.
    """

    def __init__(self, host: str, port: int, requests: Callable[[], Requests]) -> None:
        self._server = host, port
        self._requests = requests
        self._arriving: set[asyncio.Task[None]] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._pacer = open_pacer(self._pump)
        self._wakes_ns = math.inf
        self._held_until_ns = 0.0
        self._line_free_ns: dict[type[_End], float] = {}
        self.waits: Counter[Wait] = Counter()
        self.ends: set[_End] = set()
        self.delay_ms = 0.0
        self.bandwidth: float | None = None
        self.unanswered: bytes | None = None
        self.breaks_after: int | None = None
        self.lost_answers = 0
        self.url = ""

    @property
    def round_trips(self) -> int:
        return self.waits["round trip"]

    @property
    def flushes(self) -> int:
        return self.waits["flush"]

    @property
    def connections(self) -> int:
        """To the server."""
        return sum(isinstance(end, _ServerEnd) and end.is_open for end in self.ends)

    @property
    def room(self) -> int:
        """Bytes that may be under way on one connection in one direction."""
        return 0 if self._held_until_ns > time.perf_counter_ns() else _ROOM

    def cut(self) -> None:
        """End all connections, whatever is under way; new ones are taken."""
        for end in tuple(self.ends):
            end.abort()

    def reset(self, after: int = 0) -> None:
        """By RST, as a machine does that knows nothing of the connection: all of them now, or the one that
        `after` more bytes of answers have passed, in the middle of its answer."""
        if after:
            self.breaks_after = after
            return
        for end in tuple(self.ends):
            end.be_abrupt()
            end.abort()

    def freeze(self) -> None:
        """Take everything, pass nothing on: as a server that hangs, connections to which still open."""
        self._held_until_ns = math.inf

    def stall(self, seconds: float) -> None:
        """Freeze, and thaw when the time is over."""
        self._held_until_ns = time.perf_counter_ns() + seconds * 1e9
        self._wake_at(self._held_until_ns)

    def thaw(self) -> None:
        self._held_until_ns = 0.0
        self._pump()

    def lose_answer(self, asked: bytes) -> None:
        """The next request with these bytes in it still reaches the server; its connection ends in place of
        the answer."""
        self.unanswered = asked

    def accept(self, listening: socket.socket) -> None:
        """Whoever knocks. asyncio's own servers forget whom they were accepting when they are closed."""
        try:
            wire, _ = listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        _keep(self._arriving, self._arrive(wire))

    def due_ns(self, way: "type[_End]", size: int) -> float:
        """When so many bytes should pass that are taken now."""
        now_ns: float = time.perf_counter_ns()
        if self.bandwidth is not None:
            now_ns = max(now_ns, self._line_free_ns.get(way, 0.0)) + size * 1e9 / self.bandwidth
            self._line_free_ns[way] = now_ns
        return now_ns + self.delay_ms * 1e6 / 2

    def is_due(self, due_ns: float) -> bool:
        """Whether what should pass at that time may pass now; if not, all ends are pumped when it may."""
        due_ns = max(due_ns - _LEAD_NS, self._held_until_ns)
        if due_ns <= time.perf_counter_ns():
            return True
        self._wake_at(due_ns)
        return False

    async def close(self) -> None:
        """To be called when nobody is accepted any more."""
        await asyncio.gather(*self._arriving)
        for task in self._connecting:
            task.cancel()
        while self.ends or self._connecting:
            self.cut()
            await asyncio.sleep(0.01)
        self._pacer.close()

    async def _arrive(self, wire: socket.socket) -> None:
        client = _ClientEnd(self)
        server = _ServerEnd(self, self._requests(), client)
        client.peer, server.peer = server, client
        wire.settimeout(0)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: client, wire)
        _keep(self._connecting, self._connect(server))

    async def _connect(self, server: "_ServerEnd") -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, *self._server)
        except OSError:
            # what a client of a relay can see of a server that is not there
            server.peer.abort()

    def _wake_at(self, due_ns: float) -> None:
        if due_ns < self._wakes_ns:
            self._wakes_ns = due_ns
            self._pacer.wake_at(int(due_ns))

    def _pump(self) -> None:
        self._wakes_ns = math.inf
        for end in tuple(self.ends):
            end.pump()


class _End(asyncio.Protocol):
    """One end of a connection, with what waits to be sent there: in order, each with the time at which it is
    due. No bytes stand for the other end's closing."""

    peer: "_End"

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._is_clogged = False
        self._is_over = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not derive from it
        self._relay.ends.add(self)
        self.pump()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_over = True
        self._relay.ends.discard(self)
        self.peer.take(b"")

    def data_received(self, data: bytes) -> None:
        self.peer.take(data)

    def pause_writing(self) -> None:
        self._is_clogged = True

    def resume_writing(self) -> None:
        self._is_clogged = False
        self.pump()

    def take(self, some: bytes) -> None:
        """What the other end received just now."""
        if not self._is_over:
            self._waiting.append((self._relay.due_ns(type(self), len(some)), some))
            self._size += len(some)
            self.pump()

    def pump(self) -> None:
        """Send what is due, and let the other end receive as long as there is room for it."""
        while self._waiting and self.is_open and not self._is_clogged:
            due_ns, some = self._waiting[0]
            if not self._relay.is_due(due_ns):
                break
            self._waiting.popleft()
            self._size -= len(some)
            if some:
                self.send(some)
            else:
                self.close()
        self.peer.receive(self._size <= self._relay.room)

    def send(self, some: bytes) -> None:
        assert self._transport is not None
        self._transport.write(some)

    def receive(self, is_wanted: bool) -> None:
        if self._transport is not None and self.is_open:
            turn = self._transport.resume_reading if is_wanted else self._transport.pause_reading
            turn()

    def close(self) -> None:
        """Once everything is out that was sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def be_abrupt(self) -> None:
        """From now on the end is told by RST."""
        if self._transport is not None and self.is_open:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_TIME)


class _ServerEnd(_End):
    def __init__(self, relay: Relay, requests: Requests, client: "_ClientEnd") -> None:
        super().__init__(relay)
        self._requests = requests
        self._client = client

    def send(self, some: bytes) -> None:
        relay = self._relay
        relay.waits.update(self._requests.waits(some))
        if relay.unanswered is not None and relay.unanswered in some:
            relay.unanswered = None
            self._client.is_answered = False
        super().send(some)


class _ClientEnd(_End):
    """is_answered: False once a request went by whose answer is to be lost."""

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay)
        self.is_answered = True

    def send(self, some: bytes) -> None:
        relay = self._relay
        if not self.is_answered:
            relay.lost_answers += 1
            self.close()
        elif relay.breaks_after is None or len(some) < relay.breaks_after:
            relay.breaks_after = relay.breaks_after and relay.breaks_after - len(some)
            super().send(some)
        else:
            super().send(some[: relay.breaks_after])
            relay.breaks_after = None
            for end in (self, self.peer):
                end.be_abrupt()
                end.close()


@asynccontextmanager
async def open_relay(url: str) -> AsyncIterator[Relay]:
    """To the one PostgreSQL or MongoDB server of the URL."""
    server = urlsplit(url)
    login, at, _ = server.netloc.rpartition("@")
    host, query = server.hostname or HOST, server.query
    if server.scheme.startswith("mongodb"):
        relay = Relay(host, server.port or 27017, MongoDBRequests)
        # a replica set tells its clients where its members are: around the relay
        query = "&".join(filter(None, (query, "directConnection=true")))
    else:
        relay = Relay(host, server.port or 5432, PostgreSQLRequests)
    loop = asyncio.get_running_loop()
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(0)
        loop.add_reader(listening, relay.accept, listening)
        port = listening.getsockname()[1]
        relay.url = server._replace(netloc=f"{login}{at}{HOST}:{port}", query=query).geturl()
        try:
            yield relay
        finally:
            loop.remove_reader(listening)
            listening.close()
            await relay.close()


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
