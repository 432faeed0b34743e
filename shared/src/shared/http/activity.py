"""The routes of activity."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Query
from pydantic import TypeAdapter
from starlette.background import BackgroundTask

from shared.http.answers import Answers
from shared.http.call import Answer, Call
from shared.http.pages import newest, newest_page
from shared.http.queries import NewestQuery
from shared.http.routing import Routes
from shared.rules import clock
from shared.schemas.activity import Activity, NewAction, Taken, activity_record
from shared.schemas.pages import Page

router = Routes("activity")

_TAKEN = TypeAdapter(Taken)
_PAGE = TypeAdapter(Page[Activity])


@router.post("/users/{user_id}/actions", Answers(202, Taken, ("not-found",)))
async def take_action(call: Call, user_id: UUID, body: Annotated[NewAction, Body()]) -> Answer:
    """BG-1: answered before it is stored. Its place is reserved before it is promised."""
    async with call.backend.reader() as reader:
        await reader.users.get(user_id)
    buffer = call.state.activity
    buffer.reserve()
    entry = activity_record(user_id, body, clock.now())
    keeping = BackgroundTask(buffer.keep, entry)
    return Answer(202, _TAKEN.dump_json(Taken(entry.id)), background=keeping)


@router.get("/users/{user_id}/activity", Answers(200, Page[Activity], ("not-found",)))
async def list_activity(call: Call, user_id: UUID, query: Annotated[NewestQuery, Query()]) -> Answer:
    """BG-1"""
    fingerprint = b"activity %s" % user_id.bytes
    listing = newest(call, user_id, query, fingerprint)
    async with call.backend.reader() as reader:
        rows = await reader.activity.list(listing)
        if not rows:
            await reader.users.get(user_id)
    return Answer(200, _PAGE.dump_json(newest_page(call, rows, query, fingerprint)))
