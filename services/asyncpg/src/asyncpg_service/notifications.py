"""Notifications on asyncpg."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import ForeignKeyViolationError

from asyncpg_service.models import NOTIFICATION, Connection, to_notification
from asyncpg_service.statements import Arguments, newest_page
from shared import ports
from shared.errors import NotFound
from shared.schemas.notifications import Mail, Notification
from shared.schemas.pages import Newest

_INSERT = f"""
    INSERT INTO notifications ({NOTIFICATION}, due_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7)
"""
# the CTE runs once: as a plain subquery it might run, and lock, once for each row that it is joined to
_CLAIM = """
    WITH due AS (
        SELECT id FROM notifications WHERE status = 'queued' AND due_at <= $2
        ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED
    )
    UPDATE notifications AS mail SET lease = $1, due_at = $3
    FROM due, users
    WHERE mail.id = due.id AND users.id = mail.user_id
    RETURNING mail.id, users.email, mail.subject, mail.body, mail.attempts
"""
_SENT = """
    UPDATE notifications SET status = 'sent', attempts = attempts + 1, sent_at = $3, lease = NULL
    WHERE id = $1 AND lease = $2
"""
_PUT_OFF = """
    UPDATE notifications
    SET status = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE status END,
        attempts = attempts + 1, due_at = coalesce($3, due_at), lease = NULL
    WHERE id = $1 AND lease = $2
"""


class Notifications(ports.notifications.Notifications):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, notification: Notification) -> None:
        try:
            await self._conn.execute(
                _INSERT,
                notification.id,
                notification.user_id,
                notification.subject,
                notification.body,
                notification.status,
                notification.attempts,
                notification.created_at,
                notification.sent_at,
            )
        except ForeignKeyViolationError as error:
            raise NotFound from error

    async def list(self, listing: Newest) -> Sequence[Notification]:
        arguments = Arguments()
        statement = f"SELECT {NOTIFICATION} FROM notifications {newest_page('user_id', listing, arguments)}"
        return [to_notification(row) for row in await self._conn.fetch(statement, *arguments)]

    async def claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> Sequence[Mail]:
        return [Mail(*row) for row in await self._conn.fetch(_CLAIM, lease, moment, until, count)]

    async def sent(self, mail_id: UUID, lease: UUID, moment: datetime) -> None:
        await self._conn.execute(_SENT, mail_id, lease, moment)

    async def put_off(self, mail_id: UUID, lease: UUID, due_at: datetime | None) -> None:
        await self._conn.execute(_PUT_OFF, mail_id, lease, due_at)
