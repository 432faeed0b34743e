"""The shared HTTP surface with no database under it: what every service pays above its layer.

Answers are fixed objects of the usual size; nothing is stored. A floor to measure against, never a service.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from shared import ports
from shared.ports.backend import PoolState
from shared.registry import Service
from shared.rules.etags import Versions
from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals
from shared.schemas.documents import Document, DocumentChange, DocumentListing, DocumentRecord, OwnedDocument
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
        return [_USER] * listing.limit

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
        return [Document(*_DOCUMENT) for _ in range(listing.limit)]

    async def list_with_owners(self, listing: DocumentListing) -> Sequence[OwnedDocument]:
        return [OwnedDocument(*_OWNED) for _ in range(listing.limit)]

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


class Connection:
    users = Users()
    documents = Documents()
    dashboard = Dashboard()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Nothing(ports.backend.Backend):
    def reader(self) -> Connection:
        return Connection()

    def unit_of_work(self) -> Connection:
        return Connection()

    async def ping(self) -> None:
        pass

    async def database_version(self) -> str:
        return "none"

    async def cursor_secret(self) -> bytes:
        return b"no data, no secret"

    def pool(self) -> PoolState:
        return PoolState(0, 0, 0)


@asynccontextmanager
async def open_nothing(_settings: Settings) -> AsyncIterator[Nothing]:
    yield Nothing()


async def migrate_nothing(_settings: Settings) -> None:
    pass


service = Service(
    "floor-http", "The HTTP surface alone", "fastapi", "postgresql", open_nothing, migrate_nothing
)
