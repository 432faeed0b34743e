"""Activity in sets, and mails under leases, while others do the same or take the users away."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.errors import NotFound, PreconditionFailed
from shared.rules import clock
from shared.schemas.activity import ActivityRecord, NewAction, activity_record
from shared.schemas.attachments import Attachment
from shared.schemas.documents import DocumentRecord
from shared.schemas.notifications import NewNotification, Notification, notification_record
from shared.schemas.pages import Newest
from shared.schemas.users import UserRecord
from tortoise_service.database import Database

MakeUser = Callable[[], UserRecord]
MakeDocument = Callable[[UUID], DocumentRecord]

NOBODY = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
async def outbox(outside: asyncpg.Connection) -> None:
    """Empty."""
    await outside.execute("DELETE FROM notifications")


def action(user_id: UUID, moment: datetime) -> ActivityRecord:
    return activity_record(user_id, NewAction.model_validate({"action": "read", "detail": {"n": 1}}), moment)


def mail(user_id: UUID, moment: datetime) -> Notification:
    return notification_record(user_id, NewNotification(subject="Hello", body="World"), moment)


async def activity_of(database: Database, user_id: UUID) -> list[UUID]:
    async with database.reader() as reader:
        return [entry.id for entry in await reader.activity.list(Newest(user_id, None, 99))]


async def mails_of(database: Database, user_id: UUID) -> list[Notification]:
    async with database.reader() as reader:
        return list(await reader.notifications.list(Newest(user_id, None, 99)))


async def test_a_set_leaves_out_who_goes_away_while_it_waits(
    database: Database, make_user: MakeUser, outside: asyncpg.Connection, now: datetime
) -> None:
    stays, goes = make_user(), make_user()
    entries = [action(user_id, now) for user_id in (stays.id, goes.id, NOBODY)]
    async with database.unit_of_work() as work:
        await work.users.create_many([stays, goes])
    async with outside.transaction():
        await outside.execute("DELETE FROM users WHERE id = $1", goes.id)
        async with database.unit_of_work() as work:
            storing = asyncio.ensure_future(work.activity.create_many(entries))
            await asyncio.sleep(0.1)
            assert not storing.done()
    await storing
    assert await activity_of(database, stays.id) == [entries[0].id]
    assert await activity_of(database, goes.id) == []


async def test_a_set_may_be_sent_again(database: Database, stored_user: UserRecord, now: datetime) -> None:
    entries = [action(stored_user.id, now + place * MINUTE) for place in range(5)]
    async with database.unit_of_work() as work:
        await work.activity.create_many(entries[:3])
        await work.activity.create_many(entries)
        first = await work.activity.list(Newest(stored_user.id, None, 2))
        after = (first[-1].created_at, first[-1].id)
        rest = await work.activity.list(Newest(stored_user.id, after, 9))
    assert [entry.id for entry in (*first, *rest)] == [entry.id for entry in reversed(entries)]
    assert first[0].detail == {"n": 1}


async def test_attachments(
    database: Database, stored_user: UserRecord, make_document: MakeDocument, now: datetime
) -> None:
    document = make_document(stored_user.id)
    attachment = Attachment(uuid4(), document.id, "ä.txt", "text/plain", 2**40, "ab", now)
    async with database.unit_of_work() as work:
        with pytest.raises(NotFound):
            await work.attachments.create(attachment)
        await work.documents.create(document)
        await work.attachments.create(attachment)
        assert await work.attachments.get(attachment.id) == attachment
        assert await work.attachments.list(Newest(document.id, None, 9)) == [attachment]
        assert await work.attachments.known([attachment.id, NOBODY]) == {attachment.id}
        with pytest.raises(PreconditionFailed):
            await work.attachments.delete(attachment.id, frozenset({"cd"}))
        await work.attachments.delete(attachment.id, frozenset({"ab", "cd"}))
        with pytest.raises(NotFound):
            await work.attachments.delete(attachment.id, None)


async def test_what_is_a_users_goes_along(
    database: Database, stored_user: UserRecord, make_document: MakeDocument, now: datetime
) -> None:
    document = make_document(stored_user.id)
    attachment = Attachment(uuid4(), document.id, "a", "text/plain", 1, "ab", now)
    async with database.unit_of_work() as work:
        await work.documents.create(document)
        await work.attachments.create(attachment)
        await work.activity.create_many([action(stored_user.id, now)])
        await work.notifications.create(mail(stored_user.id, now))
        await work.users.delete(stored_user.id, None)
        assert await work.attachments.known([attachment.id]) == set()
        with pytest.raises(NotFound):
            await work.notifications.create(mail(stored_user.id, now))
    assert await activity_of(database, stored_user.id) == []
    assert await mails_of(database, stored_user.id) == []


@pytest.mark.usefixtures("outbox")
async def test_claims_at_once_are_disjoint_and_take_all(
    wide: Database, stored_user: UserRecord, now: datetime
) -> None:
    queued = [mail(stored_user.id, now) for _ in range(60)]
    async with wide.unit_of_work() as work:
        for notification in queued:
            await work.notifications.create(notification)

    async def claim() -> list[UUID]:
        claimed: list[UUID] = []
        while True:
            async with wide.unit_of_work() as work:
                mails = await work.notifications.claim(uuid4(), now, now + MINUTE, 4)
            if not mails:
                return claimed
            assert len(mails) <= 4
            claimed += [taken.id for taken in mails]

    claims = await asyncio.gather(*(claim() for _ in range(4)))
    assert sorted(taken for claimed in claims for taken in claimed) == [sent.id for sent in queued]


@pytest.mark.usefixtures("outbox")
async def test_a_lease_that_ended_is_claimed_again_and_then_settles_nothing(
    database: Database, stored_user: UserRecord, now: datetime
) -> None:
    old, new = uuid4(), uuid4()
    async with database.unit_of_work() as work:
        await work.notifications.create(mail(stored_user.id, now))
        (taken,) = await work.notifications.claim(old, now, now + MINUTE, 9)
        assert (taken.email, taken.subject, taken.attempts) == (stored_user.email, "Hello", 0)
        assert await work.notifications.claim(new, now, now + MINUTE, 9) == []
        assert await work.notifications.claim(new, now + MINUTE, now + 2 * MINUTE, 9) == [taken]
        await work.notifications.sent(taken.id, old, now)
        await work.notifications.put_off(taken.id, old, None)
        (stored,) = await mails_of(database, stored_user.id)
        assert (stored.status, stored.attempts, stored.sent_at) == ("queued", 0, None)
        await work.notifications.sent(taken.id, new, now)
        await work.notifications.sent(taken.id, new, now + MINUTE)
        assert await work.notifications.claim(new, now + 9 * MINUTE, now, 9) == []
    (stored,) = await mails_of(database, stored_user.id)
    assert (stored.status, stored.attempts, stored.sent_at) == ("sent", 1, now)


@pytest.mark.usefixtures("outbox")
async def test_a_mail_that_was_put_off_is_due_later_or_never(
    database: Database, stored_user: UserRecord, now: datetime
) -> None:
    lease = uuid4()
    async with database.unit_of_work() as work:
        await work.notifications.create(mail(stored_user.id, now))
        (taken,) = await work.notifications.claim(lease, now, now + MINUTE, 9)
        await work.notifications.put_off(taken.id, lease, now + 2 * MINUTE)
        assert await work.notifications.claim(lease, now + MINUTE, now, 9) == []
        (taken,) = await work.notifications.claim(lease, now + 2 * MINUTE, now, 9)
        assert taken.attempts == 1
        await work.notifications.put_off(taken.id, lease, None)
        assert await work.notifications.claim(lease, now + 9 * MINUTE, now, 9) == []
    (stored,) = await mails_of(database, stored_user.id)
    assert (stored.status, stored.attempts) == ("failed", 2)
