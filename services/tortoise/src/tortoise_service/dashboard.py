"""The dashboard's queries on Tortoise ORM."""

from collections.abc import Sequence
from datetime import datetime

from pypika_tortoise.functions import Cast
from pypika_tortoise.terms import AtTimezone, Bracket, Function
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Subquery
from tortoise.functions import Coalesce, Count, Sum

from shared import ports
from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals
from tortoise_service.models import DocumentRow, UserRow
from tortoise_service.statements import ByCodePoint


class Dashboard(ports.dashboard.Dashboard):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def totals(self) -> Totals:
        rows = DocumentRow.all(using_db=self._client).annotate(
            users=Subquery(UserRow.all(using_db=self._client).count()),
            documents=Count("id"),
            content_bytes=Coalesce(Sum("content_bytes"), 0),
        )
        (found,) = await rows.values("users", "documents", "content_bytes")
        return Totals(**found)

    async def documents_per_day(self, since: datetime) -> Sequence[DayCount]:
        created = DocumentRow.get_table()["created_at"]
        rows = (
            DocumentRow.filter(created_at__gte=since)
            .using_db(self._client)
            .annotate(date=Cast(AtTimezone(created, "UTC"), "date"), count=Count("id"))
            .group_by("date")
        )
        return [DayCount(**found) for found in await rows.values("date", "count")]

    async def top_tags(self, count: int) -> Sequence[TagCount]:
        tag = ByCodePoint(Function("unnest", DocumentRow.get_table()["tags"]))
        rows = DocumentRow.all(using_db=self._client).annotate(tag=tag, count=Count("id")).group_by("tag")
        top = rows.order_by("-count", "tag").limit(count)
        return [TagCount(**found) for found in await top.values("tag", "count")]

    async def top_owners(self, count: int) -> Sequence[OwnerCount]:
        # a name is looked up for the few rows that are left, after they were counted and sorted
        users, documents = UserRow.get_table(), DocumentRow.get_table()
        name = self._client.query_class.from_(users).select(users.name).where(users.id == documents.owner_id)
        counted = DocumentRow.all(using_db=self._client).annotate(name=Bracket(name), count=Count("id"))
        rows = counted.group_by("owner_id")
        top = rows.order_by("-count", "owner_id").limit(count)
        return [OwnerCount(**found) for found in await top.values("name", "count", user_id="owner_id")]
