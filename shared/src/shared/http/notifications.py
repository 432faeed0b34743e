"""The routes of notifications."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Query
from pydantic import TypeAdapter

from shared.http.answers import Answers
from shared.http.call import Answer, Call
from shared.http.idempotency import once
from shared.http.pages import newest, newest_page
from shared.http.problems import ProblemError
from shared.http.queries import NewestQuery
from shared.http.routing import Routes
from shared.ports.backend import UnitOfWork
from shared.rules import clock
from shared.schemas.notifications import NewNotification, Notification, Queued, notification_record
from shared.schemas.pages import Page

router = Routes("notifications")

_QUEUED = TypeAdapter(Queued)
_PAGE = TypeAdapter(Page[Notification])

_NO_SERVER = "Nobody takes mail from this service: SMTP_URL is not set."


@router.post("/users/{user_id}/notifications", Answers(202, Queued, ("not-found",), keyed=True))
async def notify_user(call: Call, user_id: UUID, body: Annotated[NewNotification, Body()]) -> Answer:
    """BG-2: answered once it is stored; the mailer of whichever process takes it."""
    mailer = call.state.mailer
    if mailer is None:
        raise ProblemError("overloaded", _NO_SERVER, headers=[(b"retry-after", b"60")])
    notification = notification_record(user_id, body, clock.now())

    async def queue(work: UnitOfWork) -> Answer:
        await work.notifications.create(notification)
        return Answer(202, _QUEUED.dump_json(Queued(notification.id, notification.status)))

    answer = await once(call, queue)
    mailer.wake()
    return answer


@router.get("/users/{user_id}/notifications", Answers(200, Page[Notification], ("not-found",)))
async def list_notifications(call: Call, user_id: UUID, query: Annotated[NewestQuery, Query()]) -> Answer:
    """BG-2"""
    fingerprint = b"notifications %s" % user_id.bytes
    listing = newest(call, user_id, query, fingerprint)
    async with call.backend.reader() as reader:
        rows = await reader.notifications.list(listing)
        if not rows:
            await reader.users.get(user_id)
    return Answer(200, _PAGE.dump_json(newest_page(call, rows, query, fingerprint)))
