"""What each operation sends, seen on the wire: every Sync and every simple query is a round trip."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import urlsplit

import pytest

from shared.errors import EmailTaken, NotFound, TransferConflict, UnknownOwner
from shared.rules import clock
from shared.rules.filters import Condition
from shared.schemas.documents import DocumentChange, DocumentListing, DocumentRecord
from shared.schemas.users import UserChange, UserListing, UserRecord
from shared.trips import Trips, current_trips
from sqlalchemy_service.database import Database, UnitOfWork

Step = Callable[[UnitOfWork], Awaitable[object]]


class Wire:
    """Passes the bytes between layer and server on, and counts the messages that ask for an answer."""

    def __init__(self) -> None:
        self.trips = 0

    @asynccontextmanager
    async def listening(self, url: str) -> AsyncIterator[str]:
        """The URL with the port of the wire in place of the server's."""
        target = urlsplit(url)

        async def connected(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
            server, requests = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(self._requests(client, requests), _pass(server, answers))

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            yield url.replace(f":{target.port}/", f":{port}/") + "?sslmode=disable"

    async def _requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """One untyped start-up message; then a letter, four bytes of length (themselves included), a body."""
        kind = b""
        try:
            while True:
                length = await source.readexactly(4)
                sink.write(kind + length + await source.readexactly(int.from_bytes(length) - 4))
                self.trips += kind in (b"S", b"Q")
                kind = await source.readexactly(1)
        except asyncio.IncompleteReadError:
            sink.close()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while read := await source.read(65_536):
        sink.write(read)
    sink.close()


async def expect(kind: type[Exception], step: Awaitable[object]) -> None:
    with pytest.raises(kind):
        await step


class Scene:
    """Two stored users and a document of the first one's; every operation on them, with its round trips."""

    def __init__(
        self, new_user: Callable[[str], UserRecord], new_document: Callable[..., DocumentRecord]
    ) -> None:
        self.new_user = new_user
        self.new_document = new_document
        self.one, self.other = new_user("Ada"), new_user("Ben")
        self.document = new_document(self.one.id)
        self.now = clock.now()
        self._names = (f"name {number}" for number in itertools.count())

    async def store(self, work: UnitOfWork) -> None:
        await work.users.create_many([self.one, self.other])
        await work.documents.create(self.document)

    def on_users(self) -> dict[str, tuple[Step, int]]:
        one, new_user = self.one, self.new_user
        listing = UserListing(sort="name", descending=False, after=None, prefix="ad", limit=51)
        same, unknown = UserChange(self.now), self.document.id
        return {
            "create": (lambda work: work.users.create(new_user("Cy")), 1),
            "create taken": (lambda work: expect(EmailTaken, work.users.create(one)), 1),
            "create_many": (lambda work: work.users.create_many([new_user("D") for _ in range(500)]), 1),
            "create_many taken": (lambda work: expect(EmailTaken, work.users.create_many([one])), 2),
            "get": (lambda work: work.users.get(one.id), 1),
            "list": (lambda work: work.users.list(listing), 1),
            "update": (lambda work: work.users.update(one.id, self._renamed(), None), 1),
            "update same": (lambda work: work.users.update(one.id, same, None), 2),
            "delete unknown": (lambda work: expect(NotFound, work.users.delete(unknown, None)), 2),
            "create and delete": (lambda work: self._come_and_go(work, new_user("Eve")), 2),
        }

    def on_documents(self) -> dict[str, tuple[Step, int]]:
        owner_id, document_id, new = self.one.id, self.document.id, self.new_document
        listing = self._listing()
        same = DocumentChange(self.now)
        return {
            "create": (lambda work: work.documents.create(new(owner_id)), 1),
            "create ownerless": (
                lambda work: expect(UnknownOwner, work.documents.create(new(document_id))),
                1,
            ),
            "create_many": (lambda work: work.documents.create_many([new(owner_id) for _ in range(500)]), 1),
            "create_many ownerless": (
                lambda work: expect(UnknownOwner, work.documents.create_many([new(document_id)])),
                2,
            ),
            "get": (lambda work: work.documents.get(document_id), 1),
            "get_with_owner": (lambda work: work.documents.get_with_owner(document_id), 1),
            "list": (lambda work: work.documents.list(listing), 1),
            "list_with_owners": (lambda work: work.documents.list_with_owners(listing), 1),
            "count": (lambda work: work.documents.count(owner_id), 1),
            "latest": (lambda work: work.documents.latest(owner_id, 5), 1),
            "update": (lambda work: work.documents.update(document_id, self._retitled(), None), 1),
            "update same": (lambda work: work.documents.update(document_id, same, None), 2),
            "transfer twice": (self._there_and_back, 2),
            "transfer missing": (lambda work: expect(TransferConflict, self._back(work)), 1),
        }

    def on_dashboard(self) -> dict[str, tuple[Step, int]]:
        return {
            "totals": (lambda work: work.dashboard.totals(), 1),
            "documents_per_day": (lambda work: work.dashboard.documents_per_day(self.now), 1),
            "top_tags": (lambda work: work.dashboard.top_tags(10), 1),
            "top_owners": (lambda work: work.dashboard.top_owners(10), 1),
        }

    def _listing(self) -> DocumentListing:
        return DocumentListing(
            sort="title",
            descending=True,
            after=None,
            owner_id=self.one.id,
            tags=("pet",),
            where=(Condition(("n",), "ge", 1),),
            words=("cat",),
            limit=51,
        )

    def _renamed(self) -> UserChange:
        name = next(self._names)
        return UserChange(self.now, name=name, name_key=name)

    def _retitled(self) -> DocumentChange:
        title = next(self._names)
        return DocumentChange(self.now, title=title, title_key=title, title_words=[title])

    async def _come_and_go(self, work: UnitOfWork, user: UserRecord) -> None:
        await work.users.create(user)
        await work.users.delete(user.id, None)

    async def _there_and_back(self, work: UnitOfWork) -> None:
        await work.documents.transfer([self.document.id], self.one.id, self.other.id, self.now)
        await self._back(work)

    async def _back(self, work: UnitOfWork) -> None:
        await work.documents.transfer([self.document.id], self.other.id, self.one.id, self.now)


@pytest.mark.parametrize("family", ["users", "documents", "dashboard"])
async def test_operations_take_their_round_trips_and_no_more(
    family: str,
    url: str,
    opened: Callable[..., AbstractAsyncContextManager[Database]],
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    wire = Wire()
    async with wire.listening(url) as wired, opened(database_url=wired, pool_size=2) as database:
        scene = Scene(new_user, new_document)
        steps: dict[str, tuple[Step, int]] = getattr(scene, f"on_{family}")()
        async with database.unit_of_work() as work:
            await scene.store(work)
        seen: dict[str, tuple[int, int]] = {}
        for name, (step, _) in steps.items():
            for _ in range(3):  # the pool's connections take turns, and each prepares what is new to it
                async with database.unit_of_work() as work:
                    await step(work)
            before, trips = wire.trips, Trips()
            token = current_trips.set(trips)
            async with database.unit_of_work() as work:
                await step(work)
            current_trips.reset(token)
            seen[name] = (wire.trips - before, trips.count)
    assert seen == {name: (trips, trips) for name, (_, trips) in steps.items()}
