"""Notifications on Tortoise ORM."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from pypika_tortoise.dialects import PostgreSQLQuery, PostgreSQLQueryBuilder
from pypika_tortoise.queries import AliasedQuery
from pypika_tortoise.terms import ValueWrapper
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.expressions import F

from shared import ports
from shared.errors import NotFound
from shared.schemas.notifications import Mail, Notification
from shared.schemas.pages import Newest
from tortoise_service.models import NotificationRow, UserRow, to_notification
from tortoise_service.statements import newest

# no argument: the index is of these alone, and the server must see that when it plans for any arguments
_QUEUED = ValueWrapper("queued", allow_parametrize=False)


class Notifications(ports.notifications.Notifications):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def create(self, notification: Notification) -> None:
        try:
            await NotificationRow.create(
                using_db=self._client, **asdict(notification), due_at=notification.created_at
            )
        except IntegrityError as error:
            raise NotFound from error

    async def list(self, listing: Newest) -> Sequence[Notification]:
        rows = newest(NotificationRow.filter(user_id=listing.of), listing)
        return [to_notification(row) for row in await rows.using_db(self._client)]

    async def claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> Sequence[Mail]:
        statement = self._claim(lease, moment, until, count)
        rows = await self._client.execute_query_dict(*statement.get_parameterized_sql())
        return [Mail(**row) for row in rows]

    async def sent(self, mail_id: UUID, lease: UUID, moment: datetime) -> None:
        await self._settle(mail_id, lease, status="sent", sent_at=moment)

    async def put_off(self, mail_id: UUID, lease: UUID, due_at: datetime | None) -> None:
        if due_at is None:
            await self._settle(mail_id, lease, status="failed")
        else:
            await self._settle(mail_id, lease, due_at=due_at)

    async def _settle(self, mail_id: UUID, lease: UUID, **values: Any) -> None:
        """Counts the try and gives the lease back, if it is still the mail's."""
        rows = NotificationRow.filter(id=mail_id, lease=lease).using_db(self._client)
        await rows.update(attempts=F("attempts") + 1, lease=None, **values)

    def _claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> PostgreSQLQueryBuilder:
        """The CTE runs once: as a subquery it might run, and lock, once for each row that it is joined to."""
        mails, users, due = NotificationRow.get_table(), UserRow.get_table(), AliasedQuery("due")
        found = (
            PostgreSQLQuery.from_(mails)
            .select(mails.id)
            .where(mails.status == _QUEUED)
            .where(mails.due_at <= moment)
            .orderby(mails.due_at)
            .limit(count)
            .for_update(skip_locked=True)
        )
        taking = (
            PostgreSQLQuery.update(mails)
            .set(mails.lease, lease)
            .set(mails.due_at, until)
            .from_(due)
            .from_(users)
            .with_(found, "due")
            .where(mails.id == due.id)
            .where(users.id == mails.user_id)
        )
        statement = cast(PostgreSQLQueryBuilder, taking)
        return statement.returning(mails.id, users.email, mails.subject, mails.body, mails.attempts)
