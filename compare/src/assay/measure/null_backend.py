"""The shared HTTP surface with no database under it: what every service pays above its layer.

Answers are fixed objects of the usual size; nothing is stored. A floor to measure against, never a service.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from shared import ports
from shared.errors import NotFound
from shared.ports.backend import Effect, PoolState, Refusal
from shared.registry import Service
from shared.rules.etags import Digests, Versions
from shared.schemas.activity import Activity as Entry
from shared.schemas.activity import ActivityRecord
from shared.schemas.attachments import Attachment
from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument
from shared.schemas.events import EventRecord
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.notifications import Mail, Notification
from shared.schemas.pages import Newest
from shared.schemas.rooms import Client, Post
from shared.schemas.users import User, UserChange, UserListing, UserRecord
from shared.settings import Settings

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_ID = UUID("01900000-0000-7000-8000-000000000000")
_USER = User(_ID, "ada@example.org", "Ada Lovelace", 1, _MOMENT, _MOMENT)
_DOCUMENT: tuple[Any, ...] = (
    _ID,
    _ID,
    "Notes",
    {"state": "open", "size": 3},
    ["a", "b"],
    1,
    _MOMENT,
    _MOMENT,
)

_OWNED: tuple[Any, ...] = (*_DOCUMENT, _USER)


class Users(ports.users.Users):
    async def create(self, user: UserRecord) -> None:
        pass

    async def create_many(self, users: Sequence[UserRecord]) -> None:
        pass

    async def get(self, user_id: UUID) -> User:
        return _USER

    async def list(self, listing: UserListing) -> Sequence[User]:
        return [_USER] * (listing.limit or 0)

    async def update(self, user_id: UUID, change: UserChange, expected: Versions) -> User:
        return _USER

    async def delete(self, user_id: UUID, expected: Versions) -> None:
        pass


class Documents(ports.documents.Documents):
    async def create(self, document: DocumentRecord) -> None:
        pass

    async def create_many(self, documents: Sequence[DocumentRecord]) -> None:
        pass

    async def get(self, document_id: UUID) -> Document:
        return Document(*_DOCUMENT)

    async def get_with_owner(self, document_id: UUID) -> OwnedDocument:
        return OwnedDocument(*_OWNED)

    async def list(self, listing: DocumentListing) -> Sequence[Document]:
        return [Document(*_DOCUMENT) for _ in range(listing.limit or 0)]

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        return [OwnedDocument(*_OWNED) for _ in range(listing.limit or 0)]

    async def count(self, owner_id: UUID) -> int:
        return 1

    async def latest(self, owner_id: UUID, count: int) -> Sequence[Document]:
        return [Document(*_DOCUMENT) for _ in range(count)]

    async def update(self, document_id: UUID, change: DocumentChange, expected: Versions) -> Document:
        return Document(*_DOCUMENT)

    async def delete(self, document_id: UUID, expected: Versions) -> None:
        pass

    async def transfer(
        self, document_ids: Sequence[UUID], from_owner_id: UUID, to_owner_id: UUID, moment: datetime
    ) -> int:
        return len(document_ids)


class Dashboard(ports.dashboard.Dashboard):
    async def totals(self) -> Totals:
        return Totals(1, 1, 1)

    async def documents_per_day(self, since: datetime) -> Sequence[DayCount]:
        return []

    async def top_tags(self, count: int) -> Sequence[TagCount]:
        return []

    async def top_owners(self, count: int) -> Sequence[OwnerCount]:
        return []


class Attachments(ports.attachments.Attachments):
    async def create(self, attachment: Attachment) -> None:
        pass

    async def get(self, attachment_id: UUID) -> Attachment:
        raise NotFound

    async def list(self, listing: Newest) -> Sequence[Attachment]:
        return []

    async def delete(self, attachment_id: UUID, expected: Digests) -> None:
        pass

    async def known(self, attachment_ids: Sequence[UUID]) -> set[UUID]:
        return set(attachment_ids)


class Activity(ports.activity.Activity):
    async def create_many(self, entries: Sequence[ActivityRecord]) -> None:
        pass

    async def list(self, listing: Newest) -> Sequence[Entry]:
        return []


class Notifications(ports.notifications.Notifications):
    async def create(self, notification: Notification) -> None:
        pass

    async def list(self, listing: Newest) -> Sequence[Notification]:
        return []

    async def claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> Sequence[Mail]:
        return []

    async def sent(self, mail_id: UUID, lease: UUID, moment: datetime) -> None:
        pass

    async def put_off(self, mail_id: UUID, lease: UUID, due_at: datetime | None) -> None:
        pass


class Exports(ports.exports.Exports):
    async def users(self, listing: UserListing) -> AsyncGenerator[Sequence[User], None]:
        yield []

    async def documents(self, listing: DocumentListing) -> AsyncGenerator[Sequence[Document], None]:
        yield []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Events(ports.events.Events):
    async def head(self) -> str:
        return ""

    async def pending(self, position: str) -> frozenset[str]:
        return frozenset()

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        return []

    async def follow(self, position: str) -> AsyncGenerator[Sequence[EventRecord | Post], None]:
        yield []
        await asyncio.Event().wait()

    async def announce(self) -> None:
        pass


class Rooms(ports.rooms.Rooms):
    async def arrive(self, client: Client, until: datetime) -> None:
        pass

    async def renew(self, client_ids: Sequence[UUID], until: datetime) -> Sequence[UUID]:
        return client_ids

    async def move(self, client_id: UUID, rooms: Sequence[str]) -> None:
        pass

    async def depart(self, client_id: UUID) -> None:
        pass

    async def expire(self, moment: datetime, farewell: Callable[[Client, str], str]) -> bool:
        return False

    async def post(self, room: str, frame: str, moment: datetime, *, counted: bool) -> int:
        return 1

    async def direct(self, client_id: UUID, frame: str, moment: datetime) -> bool:
        return False

    async def after(self, room: str, place: int) -> Sequence[Post]:
        return []


class Connection:
    users = Users()
    documents = Documents()
    attachments = Attachments()
    activity = Activity()
    notifications = Notifications()
    dashboard = Dashboard()
    rooms = Rooms()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Nothing(ports.backend.Backend):
    events = Events()

    def reader(self) -> Connection:
        return Connection()

    def unit_of_work(self) -> Connection:
        return Connection()

    async def once(self, request: KeyedRequest, effect: Effect, refusal: Refusal) -> tuple[KeptAnswer, bool]:
        return await effect(Connection()), False

    def snapshot(self) -> Exports:
        return Exports()

    async def forget(self, before: datetime) -> None:
        pass

    async def ping(self) -> None:
        pass

    async def database_version(self) -> str:
        return "none"

    async def secret(self, name: str) -> bytes:
        return b"no data, no secret"

    def pool(self) -> PoolState:
        return PoolState(0, 0, 0)

    def export_pool(self) -> PoolState:
        return PoolState(0, 0, 0)


@asynccontextmanager
async def open_nothing(_settings: Settings) -> AsyncIterator[Nothing]:
    yield Nothing()


async def migrate_nothing(_settings: Settings) -> None:
    pass


service = Service(
    "floor-http", "The HTTP surface alone", "fastapi", "postgresql", open_nothing, migrate_nothing
)
