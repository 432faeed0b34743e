"""A wire between a service and its database: counted from its own bytes, cut and frozen on wish."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal
from urllib.parse import urlsplit

from assay.stand.ports import HOST

Wait = Literal["round trip", "flush"]

_CHUNK = 65_536
_POSTGRESQL_WAITS: Final[dict[bytes, Wait]] = {b"S": "round trip", b"Q": "round trip", b"H": "flush"}
_PROTOCOL_3 = 3
_OP_MSG = 2013
_MORE_TO_COME = 2
_GREETINGS = (b"hello", b"isMaster", b"ismaster")


class _PostgreSQLRequests:
    """One client's, without TLS. Start-up messages have no type; the last one names the protocol."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._typed = False

    def waits(self, sent: bytes) -> Iterator[Wait]:
        """What the client now waits for, however its messages were split."""
        self._kept += sent
        while message := _taken(self._kept, int(self._typed), "big"):
            if not self._typed:
                self._typed = int.from_bytes(message[4:6]) == _PROTOCOL_3
            elif message[:1] in _POSTGRESQL_WAITS:
                yield _POSTGRESQL_WAITS[message[:1]]


class _MongoDBRequests:
    """One client's, without TLS and compression. Greetings, which monitors repeat, are no requests."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def waits(self, sent: bytes) -> Iterator[Wait]:
        self._kept += sent
        while message := _taken(self._kept, 0, "little"):
            asks = int.from_bytes(message[12:16], "little") == _OP_MSG and not message[16] & _MORE_TO_COME
            if asks and message[26:].partition(b"\0")[0] not in _GREETINGS:
                yield "round trip"


def _taken(kept: bytearray, start: int, order: Literal["big", "little"]) -> bytes | None:
    """The first message, once it is whole; its length stands at `start` and counts from there."""
    length = kept[start : start + 4]
    size = start + int.from_bytes(length, order)
    if len(length) < 4 or len(kept) < size:
        return None
    message = bytes(kept[:size])
    del kept[:size]
    return message


class Relay:
    """url: the server's own, by way of the relay.

    round_trips: Sync and Query messages of PostgreSQL, requests of MongoDB that are answered.
    flushes: for which a PostgreSQL driver waits where it asks about a statement before it runs it.
    """

    def __init__(self, host: str, port: int, *, mongodb: bool) -> None:
        self._server = host, port
        self._requests = _MongoDBRequests if mongodb else _PostgreSQLRequests
        self._waits: Counter[Wait] = Counter()
        self._clients: set[asyncio.StreamWriter] = set()
        self._servers: set[asyncio.StreamWriter] = set()
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
        """To the server."""
        return len(self._servers)

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for writer in self._clients | self._servers:
            writer.transport.abort()

    def freeze(self) -> None:
        """Take everything, pass nothing on: as a server that hangs, connections to which still open."""
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        self._clients.add(to_client)
        try:
            await self._flowing.wait()
            await self._pass_on(client, to_client)
        except OSError:
            # what a client of a relay can see of a server that is not there
            to_client.transport.abort()
        finally:
            self._clients.remove(to_client)

    async def close(self) -> None:
        self.thaw()
        while self._clients:
            self.cut()
            await asyncio.sleep(0.01)

    async def _pass_on(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(*self._server)
        self._servers.add(to_server)
        try:
            requests = self._forward(client, to_server, self._requests().waits)
            await asyncio.gather(requests, self._forward(server, to_client, lambda _: ()))
        finally:
            self._servers.remove(to_server)

    async def _forward(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        waits: Callable[[bytes], Iterable[Wait]],
    ) -> None:
        # an end that is lost is passed on as one: by closing the other
        with suppress(ConnectionError):
            while some := await source.read(_CHUNK):
                await self._flowing.wait()
                self._waits.update(waits(some))
                target.write(some)
                await target.drain()
        target.close()


@asynccontextmanager
async def open_relay(url: str) -> AsyncIterator[Relay]:
    """To the one PostgreSQL or MongoDB server of the URL."""
    server = urlsplit(url)
    mongodb = server.scheme.startswith("mongodb")
    default = 27017 if mongodb else 5432
    relay = Relay(server.hostname or HOST, server.port or default, mongodb=mongodb)
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
