"""The statements of the lists as they are really sent, explained on filled tables: each walks its index."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import event

from shared.schemas.documents import DocumentListing
from shared.schemas.users import UserListing
from sqlalchemy_service.database import Database

ROWS = 20_000
OWNER = UUID(int=7)
PLACE = (datetime(2026, 1, 1, 1, tzinfo=UTC), UUID(int=3600))


@pytest_asyncio.fixture(scope="module")
async def filled(url: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(url)
    number = "lpad(to_hex(n), 32, '0')::uuid"
    moment = "timestamptz '2026-01-01Z' + n * interval '1 s'"
    await connection.execute(f"""
        INSERT INTO users SELECT {number}, 'u' || n || '@example.org', 'u' || n || '@example.org',
            'User ' || n, 'user ' || n, 1, {moment}, {moment} FROM generate_series(1, {ROWS}) AS n;
        INSERT INTO documents SELECT {number}, lpad(to_hex(n % 500 + 1), 32, '0')::uuid, 'Title ' || n,
            'title ' || n, ARRAY['title', n::text], '{{}}', 2, ARRAY['t' || n % 1000], 1, {moment}, {moment}
        FROM generate_series(1, {ROWS}) AS n;
        ANALYZE users, documents;
    """)
    try:
        yield
    finally:
        await connection.execute("TRUNCATE users, documents, events")
        await connection.close()


def users(sort: Any, *, descending: bool = False, after: Any = None, prefix: str | None = None) -> Any:
    return UserListing(sort=sort, descending=descending, after=after, prefix=prefix, limit=51)


def documents(sort: Any, **filters: Any) -> Any:
    chosen: dict[str, Any] = {"descending": False, "after": None, "owner_id": None, "tags": (), "words": ()}
    return DocumentListing(sort=sort, where=(), limit=51, **(chosen | filters))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("listing", "index"),
    [
        (users("created_at"), "users_by_created_at"),
        (users("created_at", descending=True, after=PLACE), "users_by_created_at"),
        (users("name", after=("user 2", UUID(int=2))), "users_by_name"),
        (users("created_at", prefix="user 1999"), "users_by_name"),
        (users("created_at", prefix="u1999"), "users_email_key_unique"),
        (documents("created_at"), "documents_by_created_at"),
        (documents("updated_at", descending=True, after=PLACE), "documents_by_updated_at"),
        (documents("title", after=("title 2", UUID(int=2))), "documents_by_title"),
        (documents("created_at", owner_id=OWNER, after=PLACE), "documents_by_owner"),
        (documents("created_at", tags=("t7",)), "documents_by_tag"),
        (documents("created_at", words=("title", "777")), "documents_by_word"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_list_walks_its_index(
    database: Database, direct: asyncpg.Connection, listing: UserListing | DocumentListing, index: str
) -> None:
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _u: object, statement: str, parameters: Any, _x: object, _m: object) -> None:
        sent.append((statement, parameters))

    async with database.reader() as reader:
        bind = reader._session.sync_session.get_bind()
        event.listen(bind, "before_cursor_execute", note)
        if isinstance(listing, UserListing):
            await reader.users.list(listing)
        else:
            await reader.documents.list_with_owners(listing)
    ((statement, parameters),) = sent
    plan = "\n".join(row[0] for row in await direct.fetch(f"EXPLAIN {statement}", *parameters))
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan
