"""Activity in sets, and mails under leases, while others do the same or take the users away."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from asyncpg_service.database import Database
from shared.errors import NotFound
from shared.schemas.activity import ActivityRecord, NewAction, activity_record
from shared.schemas.attachments import Attachment
from shared.schemas.documents import DocumentRecord
from shared.schemas.notifications import Notification
from shared.schemas.pages import Newest
from shared.schemas.users import UserRecord

AUser = Callable[[], UserRecord]
Queue = Callable[[int], Awaitable[list[UUID]]]

_MINUTE = timedelta(minutes=1)


def acted(user: UserRecord, moment: datetime) -> ActivityRecord:
    return activity_record(user.id, NewAction(action="read"), moment)


@pytest.fixture
async def queue(database: Database, stored_user: UserRecord, now: datetime) -> Queue:
    """Stores notifications of the user, after all others were settled; answers their ids."""

    async def store(many: int) -> list[UUID]:
        made = [Notification(uuid4(), stored_user.id, "S", "B", "queued", 0, now, None) for _ in range(many)]
        async with database.unit_of_work() as unit:
            for notification in made:
                await unit.notifications.create(notification)
        return [notification.id for notification in made]

    async with database.unit_of_work() as unit:
        for mail in await unit.notifications.claim(lease := uuid4(), now + 99 * _MINUTE, now, 1_000):
            await unit.notifications.sent(mail.id, lease, now)
    return store


async def stored_of(database: Database, user: UUID) -> list[Notification]:
    async with database.reader() as reader:
        return list(await reader.notifications.list(Newest(user, None, 100)))


async def test_activity_of_users_who_go_away_is_dropped_and_no_other(
    database: Database, a_user: AUser, now: datetime
) -> None:
    users = [a_user() for _ in range(40)]
    async with database.unit_of_work() as unit:
        await unit.users.create_many(users)
    staying, going = users[::2], users[1::2]

    async def store() -> None:
        for _ in range(10):
            async with database.unit_of_work() as unit:
                await unit.activity.create_many([acted(user, now) for user in users])

    async def remove() -> None:
        for user in going:
            async with database.unit_of_work() as unit:
                await unit.users.delete(user.id, None)

    await asyncio.gather(store(), remove(), store())
    async with database.reader() as reader:
        for user in staying:
            assert len(await reader.activity.list(Newest(user.id, None, 100))) == 20
        for user in going:
            assert await reader.activity.list(Newest(user.id, None, 100)) == []


async def test_a_set_may_be_sent_again(database: Database, stored_user: UserRecord, now: datetime) -> None:
    entries = [acted(stored_user, now + timedelta(seconds=place)) for place in range(5)]
    async with database.unit_of_work() as unit:
        await unit.activity.create_many(entries[:3])
        await unit.activity.create_many(entries)
        first = await unit.activity.list(Newest(stored_user.id, None, 2))
        rest = await unit.activity.list(Newest(stored_user.id, (first[-1].created_at, first[-1].id), 9))
    assert [entry.id for entry in (*first, *rest)] == [entry.id for entry in reversed(entries)]
    assert first[0].detail == {}


async def test_what_belongs_to_a_user_goes_along(
    database: Database,
    stored_user: UserRecord,
    a_document: Callable[[UserRecord], DocumentRecord],
    queue: Queue,
    now: datetime,
) -> None:
    document = a_document(stored_user)
    attachment = Attachment(uuid4(), document.id, "a.txt", "text/plain", 1, "00", now)
    async with database.unit_of_work() as unit:
        await unit.documents.create(document)
        await unit.attachments.create(attachment)
        await unit.activity.create_many([acted(stored_user, now)])
        await queue(1)
        assert await unit.attachments.known([attachment.id, uuid4()]) == {attachment.id}
        await unit.users.delete(stored_user.id, None)
        assert await unit.attachments.known([attachment.id]) == set()
        with pytest.raises(NotFound):
            await unit.attachments.create(attachment)
        with pytest.raises(NotFound):
            await queue(1)
    assert await stored_of(database, stored_user.id) == []


async def test_claims_at_once_are_disjoint_and_take_all(
    database: Database, queue: Queue, now: datetime
) -> None:
    queued = await queue(60)

    async def claim() -> list[UUID]:
        found: list[UUID] = []
        while True:
            async with database.unit_of_work() as unit:
                mails = await unit.notifications.claim(uuid4(), now, now + _MINUTE, 4)
            if not mails:
                return found
            assert len(mails) <= 4
            found += [mail.id for mail in mails]

    claimed = [mail for found in await asyncio.gather(*(claim() for _ in range(4))) for mail in found]
    assert sorted(claimed) == sorted(queued)


async def test_a_lease_that_ended_is_claimed_again_and_settles_nothing_then(
    database: Database, queue: Queue, stored_user: UserRecord, now: datetime
) -> None:
    (queued,) = await queue(1)
    old, new = uuid4(), uuid4()
    async with database.unit_of_work() as unit:
        (mail,) = await unit.notifications.claim(old, now, now + _MINUTE, 9)
        assert (mail.id, mail.email, mail.attempts) == (queued, stored_user.email, 0)
        assert await unit.notifications.claim(new, now, now + _MINUTE, 9) == []
        (again,) = await unit.notifications.claim(new, now + _MINUTE, now + 2 * _MINUTE, 9)
        assert again == mail
        await unit.notifications.sent(mail.id, old, now)
        await unit.notifications.put_off(mail.id, old, None)
        (stored,) = await stored_of(database, stored_user.id)
        assert (stored.status, stored.attempts, stored.sent_at) == ("queued", 0, None)
        await unit.notifications.sent(mail.id, new, now)
        (stored,) = await stored_of(database, stored_user.id)
        assert (stored.status, stored.attempts, stored.sent_at) == ("sent", 1, now)
        assert await unit.notifications.claim(new, now + 99 * _MINUTE, now, 9) == []


async def test_a_mail_that_was_put_off_is_due_later_or_never(
    database: Database, queue: Queue, stored_user: UserRecord, now: datetime
) -> None:
    await queue(1)
    async with database.unit_of_work() as unit:
        (mail,) = await unit.notifications.claim(lease := uuid4(), now, now + _MINUTE, 9)
        await unit.notifications.put_off(mail.id, lease, now + 2 * _MINUTE)
        assert await unit.notifications.claim(lease, now + _MINUTE, now, 9) == []
        (mail,) = await unit.notifications.claim(lease, now + 2 * _MINUTE, now, 9)
        assert mail.attempts == 1
        await unit.notifications.put_off(mail.id, lease, None)
        assert await unit.notifications.claim(lease, now + 99 * _MINUTE, now, 9) == []
    (stored,) = await stored_of(database, stored_user.id)
    assert (stored.status, stored.attempts) == ("failed", 2)
