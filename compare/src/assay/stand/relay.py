"""A wire between a service and its database that counts round trips, and can be cut and frozen."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from assay.stand.ports import HOST
from assay.stand.wire import MongoDBRequests, PostgreSQLRequests, Requests, Wait

_CHUNK = 65_536


class Relay:
    """url: the server's own, by way of the relay.

    round_trips: Sync and Query messages of PostgreSQL, requests of MongoDB that are answered.
    flushes: for which a PostgreSQL driver waits where it asks about a statement before it runs it.
    lost_answers: those of `lose_answer` that the server gave and the client did not get.
    """

    def __init__(self, host: str, port: int, requests: Callable[[], Requests]) -> None:
        self._server = host, port
        self._requests = requests
        self._waits: Counter[Wait] = Counter()
        self._clients: set[asyncio.StreamWriter] = set()
        self._servers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._unanswered: bytes | None = None
        self.lost_answers = 0
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

    def lose_answer(self, asked: bytes) -> None:
        """The next request with these bytes in it still reaches the server; its connection ends in place of
        the answer."""
        self._unanswered = asked

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
        requests = self._requests()
        is_answered = True

        def asked(some: bytes) -> bool:
            nonlocal is_answered
            self._waits.update(requests.waits(some))
            if self._unanswered is not None and self._unanswered in some:
                self._unanswered = None
                is_answered = False
            return True

        def answered(_: bytes) -> bool:
            self.lost_answers += not is_answered
            return is_answered

        server, to_server = await asyncio.open_connection(*self._server)
        self._servers.add(to_server)
        try:
            there = self._forward(client, to_server, asked)
            await asyncio.gather(there, self._forward(server, to_client, answered))
        finally:
            self._servers.remove(to_server)

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, passes: Callable[[bytes], bool]
    ) -> None:
        # an end that is lost is passed on as one: by closing the other
        with suppress(ConnectionError):
            while some := await source.read(_CHUNK):
                await self._flowing.wait()
                if not passes(some):
                    break
                target.write(some)
                await target.drain()
        target.close()


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
    listener = await asyncio.start_server(relay.serve, HOST, 0)
    port = listener.sockets[0].getsockname()[1]
    relay.url = server._replace(netloc=f"{login}{at}{HOST}:{port}", query=query).geturl()
    try:
        yield relay
    finally:
        listener.close()
        await relay.close()
