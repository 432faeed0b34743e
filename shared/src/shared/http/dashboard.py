"""The dashboard's route (DSH)."""

import asyncio
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
