"""The activity of users, on Motor."""

from collections.abc import Sequence
from functools import partial

from motor_service.models import ACTIVITY_NOTED, from_activity, to_activity, touched
from motor_service.statements import NEWEST, Connection, Session, newest_of
from shared import ports
from shared.schemas.activity import Activity as Entry
from shared.schemas.activity import ActivityRecord
from shared.schemas.pages import Newest

_NOTED = touched(ACTIVITY_NOTED)


class Activity(ports.activity.Activity):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create_many(self, entries: Sequence[ActivityRecord]) -> None:
        if entries:
            users = {entry.user_id for entry in entries}
            await self._conn.transaction(users, partial(self._insert_many, entries))

    async def list(self, listing: Newest) -> Sequence[Entry]:
        rows = self._conn.activity.find(
            newest_of("user_id", listing),
            sort=NEWEST,
            limit=listing.limit,
            batch_size=listing.limit,
            session=self._conn.session,
        )
        return [to_activity(row) for row in await rows.to_list(None)]

    async def _insert_many(self, entries: Sequence[ActivityRecord], session: Session) -> None:
        known = {entry.user_id for entry in entries}
        asked = {"_id": {"$in": list(known)}}
        touched = await self._conn.users.update_many(asked, _NOTED, session=session)
        if touched.matched_count < len(known):
            known = set(await self._conn.users.distinct("_id", asked, session=session))
        # a duplicate would end the transaction, so those that are there are asked for before
        sent = {"_id": {"$in": [entry.id for entry in entries]}}
        there = set(await self._conn.activity.distinct("_id", sent, session=session))
        rows = [from_activity(e) for e in entries if e.user_id in known and e.id not in there]
        if rows:
            await self._conn.activity.insert_many(rows, session=session)
