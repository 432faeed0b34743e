"""Notifications: an outbox from which the workers of all processes take mails, each under a lease."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from shared.schemas.notifications import Mail, Notification
from shared.schemas.pages import Newest


class Notifications(Protocol):
    async def create(self, notification: Notification) -> None:
        """Stores the notification, due at once. Raises NotFound where its user is missing. BG-2"""

    async def list(self, listing: Newest) -> Sequence[Notification]:
        """A stretch of a user's notifications, in one round trip. BG-2"""

    async def claim(self, lease: UUID, moment: datetime, until: datetime, count: int) -> Sequence[Mail]:
        """Takes the queued mails that are due longest, `count` at most, and makes them due again at `until`.
        Mails that another claim is just taking are passed over, never waited for. BG-2"""

    async def sent(self, mail_id: UUID, lease: UUID, moment: datetime) -> None:
        """Counts the try and marks the mail sent, if the lease is still the mail's. BG-2"""

    async def put_off(self, mail_id: UUID, lease: UUID, due_at: datetime | None) -> None:
        """Counts a failed try, if the lease is still the mail's: due again at `due_at`, or failed for good
        where that is None. BG-2"""
