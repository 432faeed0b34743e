"""The dashboard's queries on Motor."""

from collections.abc import Sequence
from datetime import datetime

from motor_service.models import Row
from motor_service.statements import Connection
from shared import ports
from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals

_CONTENTS: Row = {
    "$group": {"_id": None, "documents": {"$sum": 1}, "content_bytes": {"$sum": "$content_bytes"}}
}
_MOST_FIRST: Row = {"$sort": {"count": -1, "_id": 1}}
# counted before they are looked up: only the names of the few are read
_NAMED: Sequence[Row] = [
    {"$lookup": {"from": "users", "localField": "_id", "foreignField": "_id", "as": "user"}},
    {"$unwind": "$user"},
    {"$project": {"count": 1, "name": "$user.name"}},
]


class Dashboard(ports.dashboard.Dashboard):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def totals(self) -> Totals:
        contents = {"$unionWith": {"coll": "documents", "pipeline": [_CONTENTS]}}
        rows = await self._conn.users.aggregate([{"$count": "users"}, contents]).to_list(None)
        found: Row = {"users": 0, "documents": 0, "content_bytes": 0}
        for row in rows:
            found |= row
        return Totals(found["users"], found["documents"], found["content_bytes"])

    async def documents_per_day(self, since: datetime) -> Sequence[DayCount]:
        day = {"$dateTrunc": {"date": "$created_at", "unit": "day"}}
        rows = self._conn.documents.aggregate(
            [{"$match": {"created_at": {"$gte": since}}}, {"$group": {"_id": day, "count": {"$sum": 1}}}]
        )
        return [DayCount(row["_id"].date(), row["count"]) for row in await rows.to_list(None)]

    async def top_tags(self, count: int) -> Sequence[TagCount]:
        counted = {"$group": {"_id": "$tags", "count": {"$sum": 1}}}
        rows = self._conn.documents.aggregate([{"$unwind": "$tags"}, counted, _MOST_FIRST, {"$limit": count}])
        return [TagCount(row["_id"], row["count"]) for row in await rows.to_list(None)]

    async def top_owners(self, count: int) -> Sequence[OwnerCount]:
        counted = {"$group": {"_id": "$owner_id", "count": {"$sum": 1}}}
        rows = self._conn.documents_at_once.aggregate([counted, _MOST_FIRST, {"$limit": count}, *_NAMED])
        return [OwnerCount(row["_id"], row["name"], row["count"]) for row in await rows.to_list(None)]
