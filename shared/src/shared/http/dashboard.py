"""The dashboard's route, and the cache that runs its queries once however many ask (DSH-1, DSH-2)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import TypeVar

from pydantic import TypeAdapter

from shared.http.answers import Answers
from shared.http.call import JSON, Answer, Call
from shared.http.routing import Routes
from shared.ports.backend import Backend
from shared.ports.dashboard import Dashboard as Queries
from shared.rules import clock, limits
from shared.schemas.dashboard import Dashboard, DayCount

router = Routes("dashboard")

_DASHBOARD = TypeAdapter(Dashboard)

Result = TypeVar("Result")


class DashboardCache:
    """The written dashboard for `ttl` seconds. Those who ask while it is being made wait for the one run; it
    goes on when they leave."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._made_at = float("-inf")
        self._body = b""
        self._running: asyncio.Task[bytes] | None = None

    async def get(self, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, float | None]:
        """The body, and its age in seconds, None where it was made for this request."""
        age = time.monotonic() - self._made_at
        if age < self._ttl:
            return self._body, age
        if self._running is None:
            self._running = asyncio.create_task(self._make(make))
        return await asyncio.shield(self._running), None

    async def _make(self, make: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            self._body = await make()
            self._made_at = time.monotonic()
            return self._body
        finally:
            self._running = None


@router.get("/dashboard", Answers(200, Dashboard))
async def get_dashboard(call: Call) -> Answer:
    """DSH-1, DSH-2"""
    body, age = await call.state.dashboard.get(lambda: _make(call.backend))
    if age is None:
        return Answer(200, body, [JSON, (b"x-cache", b"miss")])
    return Answer(200, body, [JSON, (b"x-cache", b"hit"), (b"age", b"%d" % age)])


async def _make(backend: Backend) -> bytes:
    today = clock.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=limits.DASHBOARD_DAYS - 1)
    async with asyncio.TaskGroup() as queries:
        totals = queries.create_task(_ask(backend, lambda dashboard: dashboard.totals()))
        days = queries.create_task(_ask(backend, lambda dashboard: dashboard.documents_per_day(since)))
        tags = queries.create_task(_ask(backend, lambda dashboard: dashboard.top_tags(limits.DASHBOARD_TOP)))
        owners = queries.create_task(
            _ask(backend, lambda dashboard: dashboard.top_owners(limits.DASHBOARD_TOP))
        )
    counts = {day.date: day.count for day in days.result()}
    dates = [(since + timedelta(days=day)).date() for day in range(limits.DASHBOARD_DAYS)]
    made = Dashboard(
        users=totals.result().users,
        documents=totals.result().documents,
        documents_per_day=[DayCount(date, counts.get(date, 0)) for date in dates],
        top_tags=list(tags.result()),
        top_owners=list(owners.result()),
        content_bytes=totals.result().content_bytes,
    )
    return _DASHBOARD.dump_json(made)


async def _ask(backend: Backend, query: Callable[[Queries], Awaitable[Result]]) -> Result:
    async with backend.reader() as reader:
        return await query(reader.dashboard)
