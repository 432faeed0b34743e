"""A wire between a service and its database: counted from its own bytes, cut and frozen on wish."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from assay.stand.ports import HOST

Wait = Literal["round trip", "flush"]

_CHUNK = 65_536
_POSTGRESQL_WAITS: Final[dict[bytes, Wait]] = {b"S": "round trip", b"Q": "round trip", b"H": "flush"}
_PROTOCOL_3 = 3
_OP_MSG = 2013
_MORE_TO_COME = 2
_GREETINGS = (b"hello", b"isMaster", b"ismaster")


class _Requests:
    """One client's messages, put together again however they were split."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def waits(self, sent: bytes) -> Iterator[Wait]:
        """What the client now waits for an answer to."""
        self._kept += sent
        while (size := self._size()) is not None and len(self._kept) >= size:
            message = bytes(self._kept[:size])
            del self._kept[:size]
            wait = self._wait(message)
            if wait is not None:
                yield wait

    def _size(self) -> int | None:
        raise NotImplementedError

    def _wait(self, message: bytes) -> Wait | None:
        raise NotImplementedError


class _PostgreSQLRequests(_Requests):
    """Without TLS. The messages of the start-up have no type; the last of them names the protocol's version."""

    _typed = False

    def _size(self) -> int | None:
        start = int(self._typed)
        length = self._kept[start : start + 4]
        return start + int.from_bytes(length) if len(length) == 4 else None

    def _wait(self, message: bytes) -> Wait | None:
        if self._typed:
            return _POSTGRESQL_WAITS.get(message[:1])
        self._typed = int.from_bytes(message[4:6]) == _PROTOCOL_3
        return None


class _MongoDBRequests(_Requests):
    """Without TLS and compression. Greetings, which the driver's monitors repeat, are nobody's request."""

    def _size(self) -> int | None:
        length = self._kept[:4]
        return int.from_bytes(length, "little") if len(length) == 4 else None

    def _wait(self, message: bytes) -> Wait | None:
        asks = int.from_bytes(message[12:16], "little") == _OP_MSG and not message[16] & _MORE_TO_COME
        return "round trip" if asks and message[26:].partition(b"\0")[0] not in _GREETINGS else None


class Relay:
    """url: the server's own, by way of the relay.

    round_trips: Sync and Query messages of PostgreSQL, requests of MongoDB that are answered.
    flushes: for which a PostgreSQL driver waits where it asks about a statement before it runs it.
    """

    def __init__(self, server: SplitResult, port: int) -> None:
        self._server = server
        self._at = server.hostname or HOST, port
        self._waits: Counter[Wait] = Counter()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.url = ""

    @property
    def round_trips(self) -> int:
        return self._waits["round trip"]

    @property
    def flushes(self) -> int:
        return self._waits["flush"]

    @property
    def connections(self) -> int:
        """Open ones, from client to server."""
        return len(self._writers) // 2

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Take everything, pass nothing on: as a server that hangs, connections to which still open."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._pass_on(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def close(self) -> None:
        self.thaw()
        while self._serving:
            self.cut()
            await asyncio.wait(self._serving, timeout=0.1)

    async def _pass_on(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            server, to_server = await asyncio.open_connection(*self._at)
        except OSError:
            # what a client of a relay can see of a server that is not there
            to_client.transport.abort()
            return
        pair = {to_client, to_server}
        self._writers |= pair
        mongodb = self._server.scheme.startswith("mongodb")
        requests = _MongoDBRequests() if mongodb else _PostgreSQLRequests()
        try:
            await asyncio.gather(
                self._forward(client, to_server, requests), self._forward(server, to_client, None)
            )
        finally:
            self._writers -= pair

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, requests: _Requests | None
    ) -> None:
        # an end that is lost is passed on as one: by closing the other
        with suppress(ConnectionError):
            while some := await source.read(_CHUNK):
                await self._flowing.wait()
                if requests is not None:
                    self._waits.update(requests.waits(some))
                target.write(some)
                await target.drain()
        target.close()


@asynccontextmanager
async def open_relay(url: str) -> AsyncIterator[Relay]:
    """To the one PostgreSQL or MongoDB server of the URL."""
    server = urlsplit(url)
    mongodb = server.scheme.startswith("mongodb")
    relay = Relay(server, server.port or (27017 if mongodb else 5432))
    listener = await asyncio.start_server(relay.serve, HOST, 0)
    login, at, _ = server.netloc.rpartition("@")
    port = listener.sockets[0].getsockname()[1]
    # a replica set tells its clients where its members are: around the relay
    query = "&".join(filter(None, (server.query, "directConnection=true" if mongodb else "")))
    relay.url = server._replace(netloc=f"{login}{at}{HOST}:{port}", query=query).geturl()
    try:
        yield relay
    finally:
        listener.close()
        await relay.close()
