"""What a backend's database holds, read past the service: rows by their values, without ids and times.

A document's owner stands in its checksum by the e-mail. The checksum of a collection is the sum of its rows'
hashes, so that no order is needed.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, TypeAlias
from uuid import UUID

import asyncpg
import orjson
from pymongo import AsyncMongoClient

from assay.report.model import Content
from shared.settings import database_of

Collection = Literal["users", "documents"]
COLLECTIONS: tuple[Collection, ...] = ("users", "documents")
Row: TypeAlias = tuple[UUID, int, list[object]]
"""Id, version, and the values that any backend has to hold alike."""

_BITS = 64
_COUNT = "SELECT count(*) FROM {}"
_READ: dict[Collection, str] = {
    "users": "SELECT id, version, email, name FROM users WHERE id <= $1",
    "documents": """
        SELECT documents.id, documents.version, email, title, tags, content::text
        FROM documents JOIN users ON users.id = owner_id WHERE documents.id <= $1
    """,
}
_CHECKED = "before: equal to the baseline's; after: every row still there, unchanged where its version is"
_EVERY = UUID(int=2**128 - 1)


@dataclass(frozen=True)
class Held:
    """`counts` are of all rows; `rows` have version and hash by id: of all, or of those that a first look
    had found."""

    counts: Mapping[Collection, int]
    rows: Mapping[Collection, Mapping[UUID, tuple[int, int]]]

    def shown(self) -> dict[str, str]:
        """
        >>> Held({"users": 2}, {"users": {UUID(int=1): (1, 10), UUID(int=2): (1, 11)}}).shown()
        {'users': '2 rows, 0000000000000015'}
        """
        return {name: f"{self.counts[name]:,} rows, {self._checksum(name)}" for name in self.counts}

    def _checksum(self, name: Collection) -> str:
        total = sum(row for _, row in self.rows[name].values())
        return f"{total % 2**_BITS:0{_BITS // 4}x}"


async def contents(database_url: str, first: Held | None = None) -> Held:
    """`database_url` leads to the backend's own database. With a `first` look, rows that came after it are
    only counted."""
    upto = {name: _EVERY if first is None else max(first.rows[name], default=_EVERY) for name in COLLECTIONS}
    if database_url.startswith("mongodb"):
        return await _mongodb(database_url, upto)
    return await _postgresql(database_url, upto)


def check(
    backend: str, before: Held, after: Held, baseline: Held, created: Mapping[str, int] | None
) -> Content:
    """`baseline` is what the baseline held before, `created` the rows that the load was told of as created,
    by collection; None where nobody counted them."""
    wrong = _unequal(before, baseline) + _changed(before, after)
    wrong += [] if created is None else _miscounted(before, after, created)
    counted = "" if created is None else "; as many new rows as were answered as created"
    return Content(
        backend=backend,
        before=before.shown(),
        after=after.shown(),
        expected=not wrong,
        because="; ".join(wrong) or _CHECKED + counted,
    )


def _unequal(before: Held, baseline: Held) -> list[str]:
    return [
        f"{name} were not those of the baseline to begin with"
        for name, found in before.shown().items()
        if found != baseline.shown().get(name)
    ]


def _changed(before: Held, after: Held) -> list[str]:
    wrong = []
    for name, rows in before.rows.items():
        now = after.rows[name]
        lost = sum(key not in now for key in rows)
        # a write counts the version up
        silent = sum(key in now and now[key][0] == row[0] and now[key] != row for key, row in rows.items())
        wrong += [f"{lost:,} {name} are gone"] if lost else []
        wrong += [f"{silent:,} {name} changed without a new version"] if silent else []
    return wrong


def _miscounted(before: Held, after: Held, created: Mapping[str, int]) -> list[str]:
    grown = {name: after.counts[name] - count for name, count in before.counts.items()}
    return [
        f"{name} grew by {count:,}, and {created.get(name, 0):,} were answered as created"
        for name, count in grown.items()
        if count != created.get(name, 0)
    ]


async def _postgresql(url: str, upto: Mapping[Collection, UUID]) -> Held:
    conn = await asyncpg.connect(url, timeout=5)
    try:
        counts, rows = {}, {}
        # one snapshot for rows and counts
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            for name in COLLECTIONS:
                counts[name] = int(await conn.fetchval(_COUNT.format(name)))
                rows[name] = await _hashed(_postgresql_rows(conn, name, upto[name]))
        return Held(counts, rows)
    finally:
        await conn.close(timeout=5)


async def _postgresql_rows(conn: asyncpg.Connection, name: Collection, last: UUID) -> AsyncIterator[Row]:
    async for key, version, *values in conn.cursor(_READ[name], last, prefetch=2_000):
        if name == "documents":
            values[-1] = orjson.loads(values[-1])
        # the driver's own UUID is a subclass, and does not equal others any faster
        yield UUID(int=key.int), version, values


async def _mongodb(url: str, upto: Mapping[Collection, UUID]) -> Held:
    async with AsyncMongoClient[dict[str, Any]](
        url, uuidRepresentation="standard", serverSelectionTimeoutMS=5_000
    ) as client:
        database = client[database_of(url)]
        emails = {row["_id"]: row["email"] async for row in database["users"].find({}, {"email": 1})}
        counts, rows = {}, {}
        for name in COLLECTIONS:
            counts[name] = await database[name].count_documents({})
            found = database[name].find({"_id": {"$lte": upto[name]}}, batch_size=2_000)
            rows[name] = await _hashed(_mongodb_rows(found, emails))
        return Held(counts, rows)


async def _mongodb_rows(
    found: AsyncIterator[dict[str, Any]], emails: Mapping[UUID, str]
) -> AsyncIterator[Row]:
    async for row in found:
        if "owner_id" in row:
            values = [emails[row["owner_id"]], row["title"], row["tags"], row["content"]]
        else:
            values = [row["email"], row["name"]]
        yield row["_id"], row["version"], values


async def _hashed(rows: AsyncIterator[Row]) -> dict[UUID, tuple[int, int]]:
    return {key: (version, _hash([version, *values])) async for key, version, values in rows}


def _hash(values: list[object]) -> int:
    written = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(blake2b(written, digest_size=_BITS // 8).digest())
