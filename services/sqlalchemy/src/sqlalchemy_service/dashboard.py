"""The dashboard's queries on SQLAlchemy."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Date, bindparam, cast, collate, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals
from sqlalchemy_service.models import DocumentRow, UserRow

_USERS = select(func.count()).select_from(UserRow).scalar_subquery()
_TOTALS = select(
    _USERS, func.count(), cast(func.coalesce(func.sum(DocumentRow.content_bytes), 0), BigInteger)
).select_from(DocumentRow)

_DAY = cast(func.timezone(literal_column("'UTC'"), DocumentRow.created_at), Date)
_PER_DAY = select(_DAY, func.count()).where(DocumentRow.created_at >= bindparam("since")).group_by(_DAY)

_TAG = collate(func.unnest(DocumentRow.tags).column_valued("tag", joins_implicitly=True), "C")
_TOP_TAGS = (
    select(_TAG, func.count())
    .select_from(DocumentRow)
    .group_by(_TAG)
    .order_by(func.count().desc(), _TAG)
    .limit(bindparam("count"))
)

# counted before they are joined: only the names of the few are looked up
_TOP = (
    select(DocumentRow.owner_id, func.count().label("documents"))
    .group_by(DocumentRow.owner_id)
    .order_by(func.count().desc(), DocumentRow.owner_id)
    .limit(bindparam("count"))
    .subquery("top")
)
_TOP_OWNERS = (
    select(UserRow.id, UserRow.name, _TOP.c.documents)
    .join(_TOP, UserRow.id == _TOP.c.owner_id)
    .order_by(_TOP.c.documents.desc(), UserRow.id)
)


class Dashboard(ports.dashboard.Dashboard):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def totals(self) -> Totals:
        return Totals(*(await self._session.execute(_TOTALS)).one())

    async def documents_per_day(self, since: datetime) -> Sequence[DayCount]:
        return [DayCount(*row) for row in await self._session.execute(_PER_DAY, {"since": since})]

    async def top_tags(self, count: int) -> Sequence[TagCount]:
        return [TagCount(*row) for row in await self._session.execute(_TOP_TAGS, {"count": count})]

    async def top_owners(self, count: int) -> Sequence[OwnerCount]:
        return [OwnerCount(*row) for row in await self._session.execute(_TOP_OWNERS, {"count": count})]
