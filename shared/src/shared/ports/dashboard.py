"""The dashboard's queries, each for a connection of its own, so that they run side by side (DSH-1)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from shared.schemas.dashboard import DayCount, OwnerCount, TagCount, Totals


class Dashboard(Protocol):
    async def totals(self) -> Totals:
        """Rows of each kind, and the size of all contents."""

    async def documents_per_day(self, since: datetime) -> Sequence[DayCount]:
        """Documents created on each day (UTC) from `since` on, days without any left out."""

    async def top_tags(self, count: int) -> Sequence[TagCount]:
        """The tags with most documents, ties by tag."""

    async def top_owners(self, count: int) -> Sequence[OwnerCount]:
        """The users with most documents, ties by id."""
