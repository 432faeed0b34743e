"""The dashboard's queries on asyncpg."""

from collections.abc import Sequence
from datetime import datetime

from asyncpg_service.models import Connection
from shared import ports
from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals

_TOTALS = """
    SELECT (SELECT count(*) FROM users), count(*), coalesce(sum(content_bytes), 0)::bigint FROM documents
"""
_PER_DAY = """
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) FROM documents
    WHERE created_at >= $1 GROUP BY day
"""
_TOP_TAGS = """
    SELECT tag COLLATE "C" AS tag, count(*) FROM documents, unnest(tags) AS tag
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $1
"""
# counted before they are joined: only the names of the few are looked up
_TOP_OWNERS = """
    SELECT users.id, users.name, top.count
    FROM (SELECT owner_id, count(*) FROM documents GROUP BY owner_id ORDER BY 2 DESC, 1 LIMIT $1) AS top
    JOIN users ON users.id = top.owner_id
    ORDER BY top.count DESC, users.id
"""


class Dashboard(ports.dashboard.Dashboard):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def totals(self) -> Totals:
        row = await self._conn.fetchrow(_TOTALS)
        assert row is not None
        return Totals(*row)

    async def documents_per_day(self, since: datetime) -> Sequence[DayCount]:
        return [DayCount(*row) for row in await self._conn.fetch(_PER_DAY, since)]

    async def top_tags(self, count: int) -> Sequence[TagCount]:
        return [TagCount(*row) for row in await self._conn.fetch(_TOP_TAGS, count)]

    async def top_owners(self, count: int) -> Sequence[OwnerCount]:
        return [OwnerCount(*row) for row in await self._conn.fetch(_TOP_OWNERS, count)]
