"""The activity of users, as whole operations."""

from collections.abc import Sequence
from typing import Protocol

from shared.schemas.activity import Activity as Entry
from shared.schemas.activity import ActivityRecord
from shared.schemas.pages import Newest


class Activity(Protocol):
    async def create_many(self, entries: Sequence[ActivityRecord]) -> None:
        """Stores, in one atomic step and a constant number of round trips, the entries whose user exists;
        those of users who are gone by then are dropped. Entries that are stored already stay as they are, so
        that a set whose outcome is unknown may be sent again. BG-1"""

    async def list(self, listing: Newest) -> Sequence[Entry]:
        """A stretch of a user's activity, in one round trip. BG-1, USR-8"""
