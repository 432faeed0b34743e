"""Notifications on SQLAlchemy."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from asyncpg import ForeignKeyViolationError
from sqlalchemy import (
    DateTime,
    Integer,
    Uuid,
    bindparam,
    case,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.errors import NotFound
from shared.schemas.notifications import Mail, Notification
from shared.schemas.pages import Newest
from sqlalchemy_service.models import NOTIFICATION, NOTIFICATIONS, USERS, NotificationRow
from sqlalchemy_service.statements import newest

_MOMENT = bindparam("moment", type_=DateTime(timezone=True))
_LEASE = bindparam("new_lease", type_=Uuid)
_INSERT = insert(NOTIFICATIONS)
# a CTE that locks is never folded into the rest, so that its limit holds; rows that another claim holds are
# passed over
_DUE = (
    select(NOTIFICATIONS.c.id, USERS.c.email)
    .join_from(NOTIFICATIONS, USERS, USERS.c.id == NOTIFICATIONS.c.user_id)
    .where(NOTIFICATIONS.c.status == literal_column("'queued'"), NOTIFICATIONS.c.due_at <= _MOMENT)
    .order_by(NOTIFICATIONS.c.due_at)
    .limit(bindparam("count", type_=Integer))
    .with_for_update(of=NOTIFICATIONS, skip_locked=True)
    .cte("due")
)
_CLAIM = (
    update(NOTIFICATIONS)
    .where(NOTIFICATIONS.c.id == _DUE.c.id)
    .values(lease=_LEASE, due_at=bindparam("until", type_=DateTime(timezone=True)))
    .returning(
        NOTIFICATIONS.c.id,
        _DUE.c.email,
        NOTIFICATIONS.c.subject,
        NOTIFICATIONS.c.body,
        NOTIFICATIONS.c.attempts,
    )
)
_LEASED = (
    update(NOTIFICATIONS)
    .where(NOTIFICATIONS.c.id == bindparam("mail_id"), NOTIFICATIONS.c.lease == bindparam("held", type_=Uuid))
    .values(attempts=NOTIFICATIONS.c.attempts + 1, lease=null())
)
_SENT = _LEASED.values(status="sent", sent_at=_MOMENT)
_NEXT = bindparam("next_due", type_=DateTime(timezone=True))
_PUT_OFF = _LEASED.values(
    status=case((_NEXT.is_(None), "failed"), else_="queued"),
    due_at=func.coalesce(_NEXT, NOTIFICATIONS.c.due_at),
)


class Notifications(ports.notifications.Notifications):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(self, notification: Notification) -> None:
        row = {**asdict(notification), "due_at": notification.created_at}
        try:
            await self._session.execute(_INSERT, row)
        except IntegrityError as error:
            if isinstance(error.driver_exception, ForeignKeyViolationError):
                raise NotFound from error
            raise

    async def list(self, listing: Newest) -> Sequence[Notification]:
        page = newest(NOTIFICATION, NotificationRow, NotificationRow.user_id, listing)
        return (await self._session.scalars(page)).all()

    async def claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> Sequence[Mail]:
        arguments = {"new_lease": lease, "moment": moment, "until": until, "count": count}
        return [Mail(*row) for row in await self._session.execute(_CLAIM, arguments)]

    async def sent(self, mail_id: UUID, lease: UUID, moment: datetime) -> None:
        await self._session.execute(_SENT, {"mail_id": mail_id, "held": lease, "moment": moment})

    async def put_off(self, mail_id: UUID, lease: UUID, due_at: datetime | None) -> None:
        await self._session.execute(_PUT_OFF, {"mail_id": mail_id, "held": lease, "next_due": due_at})
