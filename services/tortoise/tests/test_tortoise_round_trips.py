"""What a request counts is what goes over the wire, and it is as little as the README says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from shared.errors import EmailTaken, NotFound, TransferConflict
from shared.rules import clock
from shared.rules.filters import parse
from shared.schemas.documents import DocumentListing, DocumentRecord, document_change
from shared.schemas.users import UserListing, UserPatch, UserRecord, user_change
from shared.settings import Settings
from shared.trips import Trips, current_trips
from tortoise_service.database import Database, UnitOfWork, open_database

MakeUser = Callable[[], UserRecord]
MakeDocument = Callable[[UUID], DocumentRecord]

USERS = UserListing("name", descending=False, after=None, prefix="a", limit=3)
DOCUMENTS = DocumentListing(
    "title",
    descending=True,
    after=None,
    owner_id=None,
    tags=("a",),
    where=(parse("n:ge:0"),),
    words=("title",),
    limit=3,
)


@dataclass
class Wire:
    """Stands between the service and its server. `waits` counts the messages (Sync, Query) after which a
    client waits for the server."""

    host: str
    port: int
    waits: int = 0
    pumps: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(self.host, self.port)
        self.pumps.add(asyncio.create_task(self._requests(client, to_server)))
        self.pumps.add(asyncio.create_task(self._answers(server, to_client)))

    async def close(self) -> None:
        await asyncio.gather(*self.pumps)

    async def _requests(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        kind = b""  # of the first message, which has none
        with closing(to_server), suppress(asyncio.IncompleteReadError):
            while True:
                size = await client.readexactly(4)
                to_server.write(kind + size + await client.readexactly(int.from_bytes(size) - 4))
                self.waits += kind in (b"S", b"Q")
                kind = await client.readexactly(1)

    async def _answers(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with closing(to_client):
            while some := await server.read(65_536):
                to_client.write(some)


@pytest.fixture
async def wire(url: str) -> AsyncIterator[tuple[Database, Wire]]:
    server = urlsplit(url)
    counted = Wire(str(server.hostname), int(server.port or 5432))
    relay = await asyncio.start_server(counted.accept, "127.0.0.1", 0)
    port = relay.sockets[0].getsockname()[1]
    through = f"postgresql://{server.username}@127.0.0.1:{port}{server.path}?sslmode=disable"
    try:
        async with open_database(Settings(database_url=through, pool_size=2)) as database:
            yield database, counted
    finally:
        relay.close()
        await counted.close()


async def _spent(wire: tuple[Database, Wire], operate: Callable[[UnitOfWork], Awaitable[object]]) -> int:
    """Round trips of the operation by both counts, on a connection that has used its statements before."""
    database, counted = wire
    for _ in range(2):
        before, trips = counted.waits, Trips()
        current_trips.set(trips)
        async with database.unit_of_work() as work:
            await operate(work)
    assert trips.count == counted.waits - before
    return trips.count


def _reads(
    user_id: UUID, document_id: UUID
) -> dict[str, Callable[[UnitOfWork], Coroutine[Any, Any, object]]]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "users.get": lambda work: work.users.get(user_id),
        "users.list": lambda work: work.users.list(USERS),
        "documents.get": lambda work: work.documents.get(document_id),
        "documents.get_with_owner": lambda work: work.documents.get_with_owner(document_id),
        "documents.list": lambda work: work.documents.list(DOCUMENTS),
        "documents.list_with_owners": lambda work: work.documents.list_with_owners(DOCUMENTS),
        "documents.count": lambda work: work.documents.count(user_id),
        "documents.latest": lambda work: work.documents.latest(user_id, 5),
        "dashboard.totals": lambda work: work.dashboard.totals(),
        "dashboard.documents_per_day": lambda work: work.dashboard.documents_per_day(start),
        "dashboard.top_tags": lambda work: work.dashboard.top_tags(10),
        "dashboard.top_owners": lambda work: work.dashboard.top_owners(10),
    }


async def test_every_read_takes_one_round_trip(
    wire: tuple[Database, Wire], make_user: MakeUser, make_document: MakeDocument
) -> None:
    user = make_user()
    document = make_document(user.id)
    async with wire[0].unit_of_work() as work:
        await work.users.create(user)
        await work.documents.create(document)
    spent = {name: await _spent(wire, read) for name, read in _reads(user.id, document.id).items()}
    assert spent == dict.fromkeys(spent, 1)


async def test_changes_of_users_take_one_round_trip(wire: tuple[Database, Wire], make_user: MakeUser) -> None:
    users = [make_user() for _ in range(2)]
    names = iter(["Grace", "Edsger"])
    leaving = iter(users)

    def rename(work: UnitOfWork) -> Awaitable[object]:
        change = user_change(UserPatch(name=next(names)), clock.now())
        return work.users.update(users[0].id, change, None)

    async with wire[0].unit_of_work() as work:
        await work.users.create_many(users)
    assert await _spent(wire, lambda work: work.users.create(make_user())) == 1
    assert await _spent(wire, lambda work: work.users.create_many([make_user() for _ in range(50)])) == 1
    assert await _spent(wire, rename) == 1
    assert await _spent(wire, lambda work: work.users.delete(next(leaving).id, frozenset({1, 3}))) == 1


async def test_changes_of_documents_take_one_round_trip(
    wire: tuple[Database, Wire], make_user: MakeUser, make_document: MakeDocument
) -> None:
    user = make_user()
    documents = [make_document(user.id) for _ in range(2)]
    titles = iter(["One", "Two"])
    leaving = iter(documents)

    def rename(work: UnitOfWork) -> Awaitable[object]:
        change = document_change(clock.now(), next(titles), None, None)
        return work.documents.update(documents[0].id, change, None)

    async with wire[0].unit_of_work() as work:
        await work.users.create(user)
        await work.documents.create_many(documents)
    many = [make_document(user.id) for _ in range(50)]
    assert await _spent(wire, lambda work: work.documents.create(make_document(user.id))) == 1
    assert await _spent(wire, rename) == 1
    assert await _spent(wire, lambda work: work.documents.delete(next(leaving).id, None)) == 1
    async with wire[0].unit_of_work() as work:
        await work.documents.create_many(many)
    await _transfers(wire, [document.id for document in many], user.id, make_user)


async def _transfers(
    wire: tuple[Database, Wire], document_ids: list[UUID], owner_id: UUID, make_user: MakeUser
) -> None:
    other = make_user()
    async with wire[0].unit_of_work() as work:
        await work.users.create(other)
    owners = [owner_id, other.id]

    def give(work: UnitOfWork) -> Awaitable[object]:
        owners.reverse()
        return work.documents.transfer(document_ids, owners[1], owners[0], clock.now())

    async def keep(work: UnitOfWork) -> None:
        with pytest.raises(TransferConflict):
            await work.documents.transfer(document_ids, owners[1], owners[0], clock.now())

    assert await _spent(wire, give) == 1
    assert await _spent(wire, keep) == 1


async def test_a_refusal_takes_no_more_than_one_look(
    wire: tuple[Database, Wire], make_user: MakeUser
) -> None:
    user, missing = make_user(), make_user()
    async with wire[0].unit_of_work() as work:
        await work.users.create(user)

    async def take_again(work: UnitOfWork) -> None:
        with pytest.raises(EmailTaken) as refused:
            await work.users.create_many([missing, user])
        assert refused.value.places == (1,)

    async def delete_missing(work: UnitOfWork) -> None:
        with pytest.raises(NotFound):
            await work.users.delete(missing.id, None)

    assert await _spent(wire, take_again) == 2
    assert await _spent(wire, delete_missing) == 2
