"""A connection that breaks after a command was sent and before its answer came: the driver sends the command
again, and the server does it once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from urllib.parse import urlsplit

import pytest

from motor_service.database import Database, open_database
from shared.rules import clock
from shared.schemas.documents import DocumentChange, DocumentRecord
from shared.schemas.users import UserChange, UserRecord
from shared.settings import Settings


class Relay:
    """Between the driver and the server. Armed with a command's name, it passes the next such command on,
    drops the answer and breaks the connection."""

    def __init__(self, host: str, port: int) -> None:
        self.broken = 0
        self._server = (host, port)
        self._armed: bytes | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def break_next(self, command: str) -> None:
        # in BSON: a field's name ends with a zero byte
        self._armed = command.encode() + b"\0"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)

    async def close(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        is_sent = asyncio.Event()
        with closing(answers):
            server, commands = await asyncio.open_connection(*self._server)
            with closing(commands):
                ways = [
                    asyncio.create_task(self._pass_on(client, commands, is_sent)),
                    asyncio.create_task(self._pass_back(server, answers, is_sent)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(
        self, client: asyncio.StreamReader, commands: asyncio.StreamWriter, is_sent: asyncio.Event
    ) -> None:
        while sent := await client.read(65_536):
            if self._armed is not None and self._armed in sent:
                self._armed = None
                is_sent.set()
            commands.write(sent)

    async def _pass_back(
        self, server: asyncio.StreamReader, answers: asyncio.StreamWriter, is_sent: asyncio.Event
    ) -> None:
        while answer := await server.read(65_536):
            if is_sent.is_set():
                self.broken += 1
                return
            answers.write(answer)


@asynccontextmanager
async def relayed(settings: Settings) -> AsyncIterator[tuple[Database, Relay]]:
    address = urlsplit(settings.mongodb_url)
    assert address.hostname is not None
    assert address.port is not None
    relay = Relay(address.hostname, address.port)
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"mongodb://127.0.0.1:{port}{address.path}?directConnection=true"
    async with server:
        async with open_database(settings.model_copy(update={"mongodb_url": url})) as database:
            yield database, relay
        await relay.close()


@pytest.mark.parametrize("command", ["findAndModify", "insert", "update", "commitTransaction"])
async def test_a_write_that_is_sent_twice_is_done_once(
    settings: Settings,
    command: str,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    user = new_user(f"once{command}".lower())
    document = new_document(user, "a title")
    async with relayed(settings) as (database, relay):
        await database.ping()
        async with database.unit_of_work() as work:
            if command == "insert":
                relay.break_next(command)
            await work.users.create(user)
            if command in ("update", "commitTransaction"):
                relay.break_next(command)
            await work.documents.create(document)
            if command == "findAndModify":
                relay.break_next(command)
            change = UserChange(clock.now(), name="Other", name_key="other")
            changed = await work.users.update(user.id, change, frozenset({1}))
            await work.documents.update(document.id, DocumentChange(clock.now(), title="B"), frozenset({1}))
            stored = await work.documents.get(document.id)
    assert relay.broken == 1
    assert (changed.version, stored.version, stored.title) == (2, 2, "B")
