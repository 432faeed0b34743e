"""The statements that listings really send walk their indexes on a filled table."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from assay.stand import Databases
from shared.errors import NotFound
from shared.ports.backend import UnitOfWork
from shared.schemas.documents import DocumentListing
from shared.schemas.pages import Newest
from shared.schemas.users import UserListing
from shared.settings import Settings
from tortoise_service import service
from tortoise_service.database import Database, open_database
from tortoise_service.models import position

FILL = """
    INSERT INTO users
    SELECT id, id || '@example.org', id || '@example.org', 'Ada', md5(id::text), 1, now(), now()
    FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 2000)) AS new;
    INSERT INTO documents (id, owner_id, title, title_key, title_words, content, content_bytes, tags, version,
        created_at, updated_at)
    SELECT gen_random_uuid(), owner.id, number, md5(number::text), ARRAY['word', 'w' || number % 4000],
        '{"n": 1}', 7, ARRAY['tag', 't' || number % 4000], 1, now() - number * interval '1 second',
        now() - number * interval '2 seconds'
    FROM (SELECT id, 4 * row_number() OVER () AS first FROM users) AS owner,
        generate_series(first, first + 3) AS number;
    INSERT INTO attachments (id, document_id, filename, media_type, size, sha256, created_at)
    SELECT gen_random_uuid(), id, 'f', 'text/plain', 1, 'ab', created_at FROM documents;
    INSERT INTO activity (id, user_id, action, detail, created_at)
    SELECT gen_random_uuid(), owner_id, 'read', '{}', created_at FROM documents;
    INSERT INTO notifications (id, user_id, subject, body, status, attempts, created_at, due_at)
    SELECT gen_random_uuid(), owner_id, 's', 'b', 'sent', 1, created_at, created_at
    FROM documents;
    UPDATE notifications SET status = 'queued' WHERE id IN (SELECT id FROM notifications LIMIT 20);
    INSERT INTO room_posts SELECT 'room' || n % 50, n, n, '{}', now() FROM generate_series(1, 5000) AS n;
    ANALYZE;
"""
USERS = UserListing("created_at", descending=False, after=None, prefix=None, limit=51)
DOCUMENTS = DocumentListing(
    "created_at", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=51
)
SOMEBODY = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
async def filled(stand: Databases) -> AsyncIterator[tuple[Database, asyncpg.Connection]]:
    """A database of its own, so that no other test's rows change a plan."""
    url = stand.url_for(service)["DATABASE_URL"] + "_plans"
    await stand[service.database].create_database("assay_tortoise_plans")
    settings = Settings(database_url=url, pool_size=2)
    await service.migrate(settings)
    connection = await asyncpg.connect(url)
    await connection.execute(FILL)
    async with open_database(settings) as database:
        yield database, connection
    await connection.close()


@pytest.fixture
def sent(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Tortoise logs each statement with its arguments."""
    caplog.set_level(logging.DEBUG, "tortoise.db_client")
    return caplog


async def _indexes(connection: asyncpg.Connection, sent: pytest.LogCaptureFixture) -> set[str]:
    """Those that the last statement walks; none where it reads a table through."""
    last = sent.records[-1].args
    assert isinstance(last, tuple)
    statement, arguments = last
    assert isinstance(arguments, list)
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments))
    nodes = list(_nodes(plan[0]["Plan"]))
    assert "Seq Scan" not in {node["Node Type"] for node in nodes}
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _nodes(inner)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("listing", "index"),
    [
        (USERS, "users_by_created_at"),
        (replace(USERS, after=(MOMENT, SOMEBODY)), "users_by_created_at"),
        (replace(USERS, sort="name", after=("b", SOMEBODY)), "users_by_name"),
        (replace(USERS, sort="email", after=("b", SOMEBODY)), "users_email_key_unique"),
    ],
)
async def test_users(
    filled: tuple[Database, asyncpg.Connection],
    sent: pytest.LogCaptureFixture,
    listing: UserListing,
    index: str,
    *,
    descending: bool,
) -> None:
    async with filled[0].reader() as reader:
        await reader.users.list(replace(listing, descending=descending))
    assert await _indexes(filled[1], sent) == {index}


async def test_users_by_a_rare_prefix_walk_both_keys(
    filled: tuple[Database, asyncpg.Connection], sent: pytest.LogCaptureFixture
) -> None:
    async with filled[0].reader() as reader:
        await reader.users.list(replace(USERS, prefix="abcd"))
    assert await _indexes(filled[1], sent) == {"users_by_name", "users_email_key_unique"}


@pytest.mark.parametrize(
    ("listing", "index"),
    [
        (replace(DOCUMENTS, after=(MOMENT, SOMEBODY)), "documents_by_created_at"),
        (replace(DOCUMENTS, sort="updated_at", after=(MOMENT, SOMEBODY)), "documents_by_updated_at"),
        (replace(DOCUMENTS, sort="title", after=("b", SOMEBODY)), "documents_by_title"),
        (replace(DOCUMENTS, sort="title", descending=True), "documents_by_title"),
        (replace(DOCUMENTS, owner_id=SOMEBODY), "documents_by_owner"),
        (replace(DOCUMENTS, owner_id=SOMEBODY, after=(MOMENT, SOMEBODY)), "documents_by_owner"),
        (replace(DOCUMENTS, tags=("tag", "t7")), "documents_by_tag"),
        (replace(DOCUMENTS, words=("word", "w7")), "documents_by_word"),
    ],
)
async def test_documents(
    filled: tuple[Database, asyncpg.Connection],
    sent: pytest.LogCaptureFixture,
    listing: DocumentListing,
    index: str,
) -> None:
    async with filled[0].reader() as reader:
        await reader.documents.list(listing)
    assert await _indexes(filled[1], sent) == {index}


async def test_owners_are_looked_up_by_their_key(
    filled: tuple[Database, asyncpg.Connection], sent: pytest.LogCaptureFixture
) -> None:
    async with filled[0].reader() as reader:
        await reader.documents.list_with_owners(replace(DOCUMENTS, limit=3))
        assert await _indexes(filled[1], sent) == {"documents_by_created_at", "users_pkey"}
        with pytest.raises(NotFound):
            await reader.documents.get_with_owner(SOMEBODY)
    assert await _indexes(filled[1], sent) == {"documents_pkey", "users_pkey"}


PAGE = Newest(SOMEBODY, (MOMENT, SOMEBODY), 51)


@pytest.mark.parametrize(
    ("operate", "indexes"),
    [
        (lambda work: work.attachments.list(PAGE), {"attachments_by_document"}),
        (lambda work: work.attachments.known([SOMEBODY]), {"attachments_pkey"}),
        (lambda work: work.activity.list(PAGE), {"activity_by_user"}),
        (lambda work: work.notifications.list(PAGE), {"notifications_by_user"}),
        (
            lambda work: work.notifications.claim(SOMEBODY, MOMENT, MOMENT, 3),
            {"notifications_due", "notifications_pkey", "users_pkey"},
        ),
        (lambda work: work.rooms.after("room7", 9), {"room_posts_pkey"}),
    ],
)
async def test_what_belongs_to_one(
    filled: tuple[Database, asyncpg.Connection],
    sent: pytest.LogCaptureFixture,
    operate: Callable[[UnitOfWork], Awaitable[object]],
    indexes: set[str],
) -> None:
    async with filled[0].unit_of_work() as work:
        await operate(work)
    assert await _indexes(filled[1], sent) == indexes


async def test_the_log_is_read_on_from_a_position(
    filled: tuple[Database, asyncpg.Connection], sent: pytest.LogCaptureFixture
) -> None:
    assert await filled[0].events.after(position(1, 0), 51)
    assert await _indexes(filled[1], sent) == {"events_by_position"}


async def test_an_export_begins_with_its_first_rows(
    filled: tuple[Database, asyncpg.Connection], sent: pytest.LogCaptureFixture
) -> None:
    async with filled[0].snapshot() as exports:
        documents = exports.documents(replace(DOCUMENTS, limit=None))
        await anext(documents)
        await documents.aclose()
    declared = next(record.args for record in sent.records if "DECLARE" in str(record.args))
    assert isinstance(declared, tuple)
    statement = str(declared[0]).partition(" FOR ")[2]
    async with filled[1].transaction():
        await filled[1].execute("SET LOCAL cursor_tuple_fraction = 0.01")
        plan = await filled[1].fetch(f"EXPLAIN DECLARE c CURSOR FOR {statement}")
    assert "Index Scan using documents_by_created_at" in plan[0][0]
