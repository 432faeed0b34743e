"""Activity in sets, and mails under leases, while others do the same or take the users away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from shared.errors import NotFound, PreconditionFailed
from shared.rules import clock
from shared.schemas.activity import ActivityRecord, NewAction, activity_record
from shared.schemas.attachments import Attachment
from shared.schemas.documents import DocumentRecord
from shared.schemas.notifications import Notification
from shared.schemas.pages import Newest
from shared.schemas.users import UserRecord
from sqlalchemy_service.database import Database

Opened = Callable[..., AbstractAsyncContextManager[Database]]
Queue = Callable[[int], Awaitable[list[UUID]]]

MINUTE = timedelta(minutes=1)
NOW = clock.now()


def acted(user: UserRecord, moment: datetime = NOW) -> ActivityRecord:
    return activity_record(user.id, NewAction.model_validate({"action": "read", "detail": {"n": 1}}), moment)


@pytest_asyncio.fixture
async def queue(database: Database, direct: asyncpg.Connection, stored_user: UserRecord) -> Queue:
    """Stores notifications of the user, where there are no others; answers their ids."""

    async def store(many: int) -> list[UUID]:
        made = [Notification(uuid4(), stored_user.id, "S", "B", "queued", 0, NOW, None) for _ in range(many)]
        async with database.unit_of_work() as work:
            for notification in made:
                await work.notifications.create(notification)
        return [notification.id for notification in made]

    await direct.execute("TRUNCATE notifications")
    return store


@pytest_asyncio.fixture
async def four(opened: Opened) -> AsyncIterator[Database]:
    """The layer with four connections."""
    async with opened(pool_size=4) as database:
        yield database


async def stored_of(database: Database, user: UserRecord) -> Notification:
    async with database.reader() as reader:
        (notification,) = await reader.notifications.list(Newest(user.id, None, 100))
    return notification


async def test_activity_of_users_who_go_away_is_dropped_and_no_other(
    four: Database, new_user: Callable[[str], UserRecord]
) -> None:
    users = [new_user("Ada") for _ in range(40)]
    async with four.unit_of_work() as work:
        await work.users.create_many(users)
    staying, going = users[::2], users[1::2]

    async def store() -> None:
        for _ in range(10):
            async with four.unit_of_work() as work:
                await work.activity.create_many([acted(user) for user in users])

    async def remove() -> None:
        for user in going:
            async with four.unit_of_work() as work:
                await work.users.delete(user.id, None)

    await asyncio.gather(store(), remove(), store())
    async with four.reader() as reader:
        for user in staying:
            assert len(await reader.activity.list(Newest(user.id, None, 100))) == 20
        for user in going:
            assert await reader.activity.list(Newest(user.id, None, 100)) == []


async def test_a_set_may_be_sent_again(database: Database, stored_user: UserRecord) -> None:
    entries = [acted(stored_user, NOW + timedelta(seconds=place)) for place in range(5)]
    async with database.unit_of_work() as work:
        await work.activity.create_many(entries[:3])
        await work.activity.create_many(entries)
        first = await work.activity.list(Newest(stored_user.id, None, 2))
        rest = await work.activity.list(Newest(stored_user.id, (first[-1].created_at, first[-1].id), 9))
    assert [entry.id for entry in (*first, *rest)] == [entry.id for entry in reversed(entries)]
    assert first[0].detail == {"n": 1}


async def test_what_belongs_to_a_user_goes_along(
    database: Database, stored_user: UserRecord, new_document: Callable[..., DocumentRecord], queue: Queue
) -> None:
    document = new_document(stored_user.id)
    attachment = Attachment(uuid4(), document.id, "a.txt", "text/plain", 2**40, "00", NOW)
    async with database.unit_of_work() as work:
        await work.documents.create(document)
        await work.attachments.create(attachment)
        await work.activity.create_many([acted(stored_user)])
        await queue(1)
        assert await work.attachments.get(attachment.id) == attachment
        assert await work.attachments.known([attachment.id, uuid4()]) == {attachment.id}
        await work.users.delete(stored_user.id, None)
        assert await work.attachments.list(Newest(document.id, None, 9)) == []
        assert await work.activity.list(Newest(stored_user.id, None, 9)) == []
        assert await work.notifications.list(Newest(stored_user.id, None, 9)) == []
        with pytest.raises(NotFound):
            await work.attachments.create(attachment)
        with pytest.raises(NotFound):
            await queue(1)


async def test_an_attachment_is_removed_by_its_digest(
    database: Database, stored_user: UserRecord, new_document: Callable[..., DocumentRecord]
) -> None:
    document = new_document(stored_user.id)
    attachment = Attachment(uuid4(), document.id, "a.txt", "text/plain", 1, "ab", NOW)
    async with database.unit_of_work() as work:
        await work.documents.create(document)
        await work.attachments.create(attachment)
        with pytest.raises(PreconditionFailed):
            await work.attachments.delete(attachment.id, frozenset({"cd"}))
        await work.attachments.delete(attachment.id, frozenset({"ab", "cd"}))
        with pytest.raises(NotFound):
            await work.attachments.delete(attachment.id, None)


async def test_claims_at_once_are_disjoint_and_take_all(four: Database, queue: Queue) -> None:
    queued = await queue(60)

    async def claim() -> list[UUID]:
        found: list[UUID] = []
        while True:
            async with four.unit_of_work() as work:
                mails = await work.notifications.claim(uuid4(), NOW, NOW + MINUTE, 4)
            if not mails:
                return found
            assert len(mails) <= 4
            found += [mail.id for mail in mails]

    claimed = [mail for found in await asyncio.gather(*(claim() for _ in range(4))) for mail in found]
    assert sorted(claimed) == sorted(queued)


async def test_a_lease_that_ended_is_claimed_again_and_settles_nothing_then(
    database: Database, queue: Queue, stored_user: UserRecord
) -> None:
    (queued,) = await queue(1)
    old, new = uuid4(), uuid4()
    async with database.unit_of_work() as work:
        (mail,) = await work.notifications.claim(old, NOW, NOW + MINUTE, 9)
        assert (mail.id, mail.email, mail.attempts) == (queued, stored_user.email, 0)
        assert await work.notifications.claim(new, NOW, NOW + MINUTE, 9) == []
        assert await work.notifications.claim(new, NOW + MINUTE, NOW + 2 * MINUTE, 9) == [mail]
        await work.notifications.sent(mail.id, old, NOW)
        await work.notifications.put_off(mail.id, old, None)
        stored = await stored_of(database, stored_user)
        assert (stored.status, stored.attempts, stored.sent_at) == ("queued", 0, None)
        await work.notifications.sent(mail.id, new, NOW)
        stored = await stored_of(database, stored_user)
        assert (stored.status, stored.attempts, stored.sent_at) == ("sent", 1, NOW)
        assert await work.notifications.claim(new, NOW + 99 * MINUTE, NOW, 9) == []


async def test_a_mail_that_was_put_off_is_due_later_or_never(
    database: Database, queue: Queue, stored_user: UserRecord
) -> None:
    await queue(1)
    lease = uuid4()
    async with database.unit_of_work() as work:
        (mail,) = await work.notifications.claim(lease, NOW, NOW + MINUTE, 9)
        await work.notifications.put_off(mail.id, lease, NOW + 2 * MINUTE)
        assert await work.notifications.claim(lease, NOW + MINUTE, NOW, 9) == []
        (mail,) = await work.notifications.claim(lease, NOW + 2 * MINUTE, NOW, 9)
        assert mail.attempts == 1
        await work.notifications.put_off(mail.id, lease, None)
        assert await work.notifications.claim(lease, NOW + 99 * MINUTE, NOW, 9) == []
    stored = await stored_of(database, stored_user)
    assert (stored.status, stored.attempts) == ("failed", 2)
