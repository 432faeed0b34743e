"""Notifications on Motor."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from pymongo import ReturnDocument

from motor_service.models import NOTIFICATION_QUEUED, Row, from_notification, to_notification, touched
from motor_service.statements import NEWEST, Connection, Session, newest_of
from shared import ports
from shared.errors import NotFound
from shared.schemas.notifications import Mail, Notification
from shared.schemas.pages import Newest

_QUEUED = touched(NOTIFICATION_QUEUED)


class Notifications(ports.notifications.Notifications):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, notification: Notification) -> None:
        await self._conn.transaction([notification.user_id], partial(self._insert, notification))

    async def list(self, listing: Newest) -> Sequence[Notification]:
        rows = self._conn.notifications.find(
            newest_of("user_id", listing),
            sort=NEWEST,
            limit=listing.limit,
            batch_size=listing.limit,
            session=self._conn.session,
        )
        return [to_notification(row) for row in await rows.to_list(None)]

    async def claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> Sequence[Mail]:
        taken: list[Row] = []
        while len(taken) < count:
            # one that somebody else takes at this moment no longer fits, and the next one is found
            row = await self._conn.notifications.find_one_and_update(
                {
                    "status": "queued",
                    "due_at": {"$lte": moment},
                    "_id": {"$nin": [mail["_id"] for mail in taken]},
                },
                {"$set": {"due_at": until, "lease": lease}},
                sort=[("due_at", 1)],
                return_document=ReturnDocument.AFTER,
                session=self._conn.session,
            )
            if row is None:
                break
            taken.append(row)
        emails = await self._emails([row["user_id"] for row in taken])
        return [
            Mail(row["_id"], emails[row["user_id"]], row["subject"], row["body"], row["attempts"])
            for row in taken
            # the others went with their users in between
            if row["user_id"] in emails
        ]

    async def sent(self, mail_id: UUID, lease: UUID, moment: datetime) -> None:
        await self._end(mail_id, lease, {"status": "sent", "sent_at": moment})

    async def put_off(self, mail_id: UUID, lease: UUID, due_at: datetime | None) -> None:
        await self._end(mail_id, lease, {"status": "failed"} if due_at is None else {"due_at": due_at})

    async def _insert(self, notification: Notification, session: Session) -> None:
        user = {"_id": notification.user_id}
        if not (await self._conn.users.update_one(user, _QUEUED, session=session)).matched_count:
            raise NotFound
        await self._conn.notifications.insert_one(from_notification(notification), session=session)

    async def _emails(self, user_ids: Sequence[UUID]) -> dict[UUID, str]:
        if not user_ids:
            return {}
        rows = self._conn.users.find(
            {"_id": {"$in": user_ids}},
            {"email": 1},
            batch_size=len(user_ids) + 1,
            session=self._conn.session,
        )
        return {row["_id"]: row["email"] for row in await rows.to_list(None)}

    async def _end(self, mail_id: UUID, lease: UUID, fields: Row) -> None:
        """Counts the try, under the lease alone."""
        await self._conn.notifications.update_one(
            {"_id": mail_id, "lease": lease},
            {"$set": {**fields, "lease": None}, "$inc": {"attempts": 1}},
            session=self._conn.session,
        )
