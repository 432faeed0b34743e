"""The plans of what reads lists, on 20,000 rows: by an index, and deep inside as cheap as at the start."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

import asyncpg
import pytest

from assay.stand import Databases
from assay.stand.urls import with_database
from asyncpg_service.database import Database, Reader, open_database
from asyncpg_service.events import _Log
from asyncpg_service.migrations import migrate
from asyncpg_service.models import position
from shared.rules.filters import parse
from shared.schemas.documents import DocumentListing, DocumentSort
from shared.schemas.pages import Newest
from shared.schemas.users import UserListing, UserSort
from shared.settings import Settings

_ROWS = 20_000
_DEEP = _ROWS - 1_000
_LIMIT = 51
# The server decides after five runs whether one plan serves all values: what it decided is what counts.
_RUNS = 7
_GENERIC = "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1"
# A user each second; then 20 documents for each of the first 1,000, a rare tag and word on every thousandth.
_FILL = f"""
    INSERT INTO users (id, email, email_key, name, name_key, version, created_at, updated_at)
    SELECT gen_random_uuid(), key, key, 'Name ' || n, 'name ' || n, 1, moment, moment
    FROM generate_series(1, {_ROWS}) AS n,
        LATERAL (SELECT 'u' || n || '@example.org', timestamptz '2026-01-01Z' + n * interval '1 s')
            AS filled (key, moment);
    INSERT INTO documents (
        id, owner_id, title, title_key, title_words, content, content_bytes, tags, version,
        created_at, updated_at
    )
    SELECT gen_random_uuid(), owners.ids[n % 1000 + 1], 'Title ' || n, 'title ' || n, marks,
        jsonb_build_object('n', n), 10, marks, 1, moment, moment + n % 7 * interval '1 day'
    FROM generate_series(1, {_ROWS}) AS n,
        LATERAL (SELECT ARRAY['all', 'rare' || n % 1000]) AS marked (marks),
        LATERAL (SELECT timestamptz '2026-02-01Z' + n * interval '1 s') AS filled (moment),
        (SELECT array_agg(id) FROM (SELECT id FROM users ORDER BY created_at LIMIT 1000)) AS owners (ids);
    INSERT INTO attachments SELECT gen_random_uuid(), id, 'a', 'text/plain', 1, '', created_at FROM documents;
    INSERT INTO activity SELECT gen_random_uuid(), owner_id, 'read', '{{}}', created_at FROM documents;
    INSERT INTO notifications
    SELECT gen_random_uuid(), owner_id, 'S', 'B', 'sent', 1, created_at, created_at, created_at
    FROM documents;
"""
_USER_KEYS = {"created_at": "created_at", "name": "name_key", "email": "email_key"}
_DOCUMENT_KEYS = {"created_at": "created_at", "updated_at": "updated_at", "title": "title_key"}
_USER_INDEXES = {
    "created_at": "users_by_created_at",
    "name": "users_by_name",
    "email": "users_email_key_unique",
}
_USERS = UserListing("created_at", descending=False, after=None, prefix=None, limit=_LIMIT)
_DOCUMENTS = DocumentListing(
    "created_at", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=_LIMIT
)

Read = Callable[[Reader], Awaitable[Any]]


@dataclass(frozen=True)
class Plan:
    """indexes: those used. scanned: tables read from end to end. buffers: pages looked at."""

    indexes: frozenset[str]
    scanned: frozenset[str]
    buffers: int

    @classmethod
    def of(cls, explained: str) -> "Plan":
        top = json.loads(explained)[0]["Plan"]
        nodes = list(_nodes(top))
        scanned = (node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan")
        buffers = top.get("Shared Hit Blocks", 0) + top.get("Shared Read Blocks", 0)
        indexes = (node["Index Name"] for node in nodes if "Index Name" in node)
        return cls(frozenset(indexes), frozenset(scanned), buffers)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


async def plan(reader: Reader, read: Read) -> Plan:
    """Of the one statement that `read` sends, as the server runs it for this reader after some runs."""
    logged: list[Any] = []
    connection = reader._conn
    with connection.query_logger(logged.append):
        for _ in range(_RUNS):
            await read(reader)
    (query,) = {record.query for record in logged}
    options = "GENERIC_PLAN" if await connection.fetchval(_GENERIC, query) else "ANALYZE, BUFFERS"
    statement = f"EXPLAIN (FORMAT JSON, {options}) {query}"
    return Plan.of(await connection.fetchval(statement, *logged[-1].args))


@pytest.fixture(scope="module")
async def database(databases: Databases) -> AsyncIterator[Database]:
    server = databases["postgresql"]
    await server.create_database("assay_plans")
    settings = Settings(database_url=with_database(server.url, "assay_plans"), pool_size=2, db_timeout=20)
    await migrate(settings)
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(_FILL)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    async with open_database(settings) as opened:
        yield opened


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[Reader]:
    async with database.reader() as opened:
        yield opened


@pytest.fixture
async def owner(reader: Reader) -> UUID:
    (document,) = await reader.documents.list(replace(_DOCUMENTS, limit=1))
    return document.owner_id


@pytest.mark.parametrize("prefix", [None, "name 19", "u19", "nothing"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", get_args(UserSort))
async def test_users_are_listed_by_an_index(
    reader: Reader, sort: UserSort, prefix: str | None, *, descending: bool
) -> None:
    listing = replace(_USERS, sort=sort, descending=descending, prefix=prefix)
    found = await plan(reader, lambda reader: reader.users.list(listing))
    assert not found.scanned
    if prefix is None:
        assert found.indexes == {_USER_INDEXES[sort]}


@pytest.mark.parametrize("with_owners", [False, True])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", get_args(DocumentSort))
@pytest.mark.parametrize(
    ("narrowed", "index"),
    [
        ({}, None),
        ({"owner_id": ...}, "documents_by_owner"),
        ({"owner_id": ..., "where": (parse("n:ge:100"),)}, "documents_by_owner"),
        ({"tags": ("rare7",)}, "documents_by_tag"),
        ({"tags": ("all", "rare7")}, "documents_by_tag"),
        ({"words": ("rare7",)}, "documents_by_word"),
        ({"words": ("all", "rare7"), "where": (parse('n:eq:"7"'),)}, "documents_by_word"),
    ],
)
async def test_documents_are_listed_by_an_index(
    reader: Reader,
    owner: UUID,
    narrowed: dict[str, Any],
    index: str | None,
    sort: DocumentSort,
    *,
    descending: bool,
    with_owners: bool,
) -> None:
    given: dict[str, Any] = {name: owner if value is ... else value for name, value in narrowed.items()}
    listing = replace(_DOCUMENTS, sort=sort, descending=descending, **given)
    found = await plan(reader, lambda reader: _listed(reader, listing, with_owners=with_owners))
    assert not found.scanned
    assert found.indexes == {index or f"documents_by_{sort}"} | ({"users_pkey"} if with_owners else set())


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", get_args(UserSort))
async def test_a_page_deep_in_the_users_costs_what_the_first_costs(
    reader: Reader, sort: UserSort, *, descending: bool
) -> None:
    first = replace(_USERS, sort=sort, descending=descending)
    deep = replace(first, after=await place(reader, "users", _USER_KEYS[sort], descending=descending))
    first_plan = await plan(reader, lambda reader: reader.users.list(first))
    deep_plan = await plan(reader, lambda reader: reader.users.list(deep))
    assert_equally_cheap(first_plan, deep_plan)


@pytest.mark.parametrize("with_owners", [False, True])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", get_args(DocumentSort))
async def test_a_page_deep_in_the_documents_costs_what_the_first_costs(
    reader: Reader, sort: DocumentSort, *, descending: bool, with_owners: bool
) -> None:
    first = replace(_DOCUMENTS, sort=sort, descending=descending)
    deep = replace(first, after=await place(reader, "documents", _DOCUMENT_KEYS[sort], descending=descending))
    first_plan = await plan(reader, lambda reader: _listed(reader, first, with_owners=with_owners))
    deep_plan = await plan(reader, lambda reader: _listed(reader, deep, with_owners=with_owners))
    assert_equally_cheap(first_plan, deep_plan)


async def place(reader: Reader, table: str, key: str, *, descending: bool) -> tuple[Any, UUID]:
    """Of the row before the last thousand."""
    direction = "DESC" if descending else "ASC"
    row = await reader._conn.fetchrow(
        f"SELECT {key}, id FROM {table} ORDER BY {key} {direction}, id {direction} OFFSET {_DEEP} LIMIT 1"
    )
    assert row is not None
    return row[0], row[1]


def assert_equally_cheap(first: Plan, deep: Plan) -> None:
    assert deep.indexes == first.indexes
    assert 0 < deep.buffers <= first.buffers * 1.5 + 10


async def test_a_summary_reads_the_documents_of_its_user_alone(reader: Reader, owner: UUID) -> None:
    count = await plan(reader, lambda reader: reader.documents.count(owner))
    latest = await plan(reader, lambda reader: reader.documents.latest(owner, 10))
    for found in (count, latest):
        assert found.indexes == {"documents_by_owner"}
        assert not found.scanned


@pytest.mark.parametrize("after", [None, (datetime(2027, 1, 1, tzinfo=UTC), UUID(int=0))])
@pytest.mark.parametrize("table", ["attachments", "activity", "notifications"])
async def test_what_belongs_to_a_row_is_listed_by_an_index(
    reader: Reader, owner: UUID, table: str, after: tuple[datetime, UUID] | None
) -> None:
    listing = Newest((await reader.documents.latest(owner, 1))[0].id, after, _LIMIT)
    if table != "attachments":
        listing = replace(listing, of=owner)
    found = await plan(reader, lambda reader: getattr(reader, table).list(listing))
    assert found.indexes == {f"{table}_by_{'document' if table == 'attachments' else 'user'}"}


async def test_due_mails_are_found_by_an_index_of_the_queued(reader: Reader) -> None:
    moment = datetime.now(UTC)
    claims = await plan(reader, lambda reader: reader.notifications.claim(UUID(int=0), moment, moment, 9))
    assert "notifications_due" in claims.indexes
    assert not claims.scanned


async def test_the_feed_is_read_by_an_index(database: Database, reader: Reader) -> None:
    """From the middle, with as many entries after it."""
    middle = await reader._conn.fetchval("SELECT seq FROM events ORDER BY seq OFFSET 20000 LIMIT 1")
    xid = await reader._conn.fetchval("SELECT xid FROM events WHERE seq = $1", middle)
    log = _Log(position(xid, middle))
    found = await plan(reader, lambda reader: log.read(reader._conn, 100))
    assert found.indexes == {"events_by_position"}


async def test_an_export_begins_without_a_sort(database: Database) -> None:
    async with database.snapshot() as exports:
        for read, index in (
            (exports.users(replace(_USERS, limit=None)), "users_by_created_at"),
            (exports.documents(replace(_DOCUMENTS, limit=None)), "documents_by_created_at"),
        ):
            logged: list[Any] = []
            with exports._conn.query_logger(logged.append):
                await anext(read)
            explained = await exports._conn.fetchval(
                f"EXPLAIN (FORMAT JSON) {logged[0].query}", *logged[0].args
            )
            assert Plan.of(explained).indexes == {index}


async def _listed(reader: Reader, listing: DocumentListing, *, with_owners: bool) -> object:
    if with_owners:
        return await reader.documents.list_with_owners(listing)
    return await reader.documents.list(listing)
