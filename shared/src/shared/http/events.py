"""The route of events, as Server-Sent Events (EVT)."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict

from shared.http.answers import Answers
from shared.http.call import Answer, Call, streamed
from shared.http.routing import Routes
from shared.schemas.documents import Id
from shared.schemas.events import Topic
from shared.work.subscription import Subscription

router = Routes("events")

MEDIA_TYPE = "text/event-stream"
_HEADERS = (
    (b"content-type", f"{MEDIA_TYPE}; charset=utf-8".encode()),
    (b"cache-control", b"no-store"),
    # proxies must not wait for more
    (b"x-accel-buffering", b"no"),
)
_HEARTBEAT = b":\n\n"


class EventQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    topic: Topic | None = None
    owner_id: Id | None = None
    last_event_id: str | None = None


@router.get("/events", Answers(200, None, has_head=False, media_types=(MEDIA_TYPE,)))
async def follow_events(call: Call, query: Annotated[EventQuery, Query()]) -> Answer:
    """EVT-1, EVT-3: the header `Last-Event-ID`, which browsers send, wins over the query."""
    cut = asyncio.Event()
    last_event_id = call.header(b"last-event-id") or query.last_event_id or None
    return await streamed(call, _HEADERS, _blocks(call, query, last_event_id, cut), cut)


async def _blocks(
    call: Call, query: EventQuery, last_event_id: str | None, cut: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    state = call.state
    async with state.feed.subscribe(query.topic, query.owner_id, last_event_id, cut) as subscription:
        stopping = asyncio.ensure_future(state.stopping.wait())
        stopping.add_done_callback(lambda _: subscription.end())
        try:
            yield _opening(subscription)
            while not state.stopping.is_set():
                items = await subscription.some(state.settings.heartbeat_seconds)
                yield b"".join([item.block for item in items]) or _HEARTBEAT
        finally:
            stopping.cancel()


def _opening(subscription: Subscription) -> bytes:
    """Who is cut off before the first event knows from `id` where to go on."""
    if subscription.head is None:
        return b"retry: 1000\n: resumed\n\n"
    return b"retry: 1000\n: from now on\nid: %b\n\n" % subscription.head.encode()
