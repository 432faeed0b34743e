"""The statements of the lists as they are really sent, explained on filled tables: each walks its index."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from shared.schemas.documents import DocumentListing
from shared.schemas.pages import Newest
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
        INSERT INTO attachments SELECT {number}, lpad(to_hex(n % 500 + 1), 32, '0')::uuid, 'f',
            'a/b', 1, 'ab', {moment} FROM generate_series(1, {ROWS}) AS n;
        INSERT INTO activity SELECT {number}, lpad(to_hex(n % 500 + 1), 32, '0')::uuid, 'a', '{{}}', {moment}
        FROM generate_series(1, {ROWS}) AS n;
        INSERT INTO notifications SELECT {number}, lpad(to_hex(n % 500 + 1), 32, '0')::uuid, 's', 'b',
            CASE n % 100 WHEN 0 THEN 'queued' ELSE 'sent' END, 1, {moment}, {moment}, {moment}
        FROM generate_series(1, {ROWS}) AS n;
        ANALYZE;
    """)
    try:
        yield
    finally:
        await connection.execute("TRUNCATE users, documents, events CASCADE")
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
    async def read() -> None:
        async with database.reader() as reader:
            if isinstance(listing, UserListing):
                await reader.users.list(listing)
            else:
                await reader.documents.list_with_owners(listing)

    plan = await explained(database._sessions, direct, read)
    assert index in plan, plan
    assert "Seq Scan" not in plan, plan


async def explained(
    sessions: async_sessionmaker[AsyncSession],
    direct: asyncpg.Connection,
    read: Callable[[], Awaitable[None]],
) -> str:
    """The plan of the one statement that `read` sends."""
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _u: object, statement: str, parameters: Any, _x: object, _m: object) -> None:
        sent.append((statement, parameters))

    bind = sessions.kw["bind"].sync_engine
    event.listen(bind, "before_cursor_execute", note)
    try:
        await read()
    finally:
        event.remove(bind, "before_cursor_execute", note)
    ((statement, parameters),) = sent
    return "\n".join(row[0] for row in await direct.fetch(f"EXPLAIN {statement}", *parameters))


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("of", ["attachments", "activity", "notifications"])
async def test_the_newest_are_read_from_an_index(
    database: Database, direct: asyncpg.Connection, of: str
) -> None:
    async def read() -> None:
        async with database.reader() as reader:
            assert len(await getattr(reader, of).list(Newest(OWNER, (PLACE[0], OWNER), 9))) > 0

    plan = await explained(database._sessions, direct, read)
    assert f"{of}_by_" in plan, plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.usefixtures("filled")
async def test_a_claim_reads_what_is_due_and_no_more(database: Database, direct: asyncpg.Connection) -> None:
    async def claim() -> None:
        async with database.unit_of_work() as work:
            moment = datetime(2026, 1, 2, tzinfo=UTC)
            assert len(await work.notifications.claim(OWNER, moment, moment, 5)) == 5

    plan = await explained(database._sessions, direct, claim)
    assert "notifications_due" in plan, plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.usefixtures("filled")
async def test_the_log_is_read_from_its_index(database: Database, direct: asyncpg.Connection) -> None:
    xid = await direct.fetchval("SELECT max(xid) FROM events")

    async def read() -> None:
        assert len(await database.events.after(f"{xid:016x}{1:016x}", 9)) == 9

    plan = await explained(database._sessions, direct, read)
    assert "events_by_position" in plan, plan
    assert "Sort" not in plan, plan


@pytest.mark.usefixtures("filled")
async def test_an_export_begins_before_its_last_row_is_found(
    database: Database, direct: asyncpg.Connection
) -> None:
    async def export() -> None:
        async with database.snapshot() as exports:
            await anext(exports.documents(replace(documents("created_at"), limit=None)))

    plan = await explained(database._snapshots, direct, export)
    assert "documents_by_created_at" in plan, plan
    assert "Sort" not in plan, plan
