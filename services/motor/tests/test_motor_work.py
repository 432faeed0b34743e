"""Attachments, activity in sets and mails under leases, while others do the same or take away what those
belong to."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from motor_service.database import Database
from shared.errors import NotFound, PreconditionFailed
from shared.schemas.activity import ActivityRecord, NewAction, activity_record
from shared.schemas.attachments import Attachment
from shared.schemas.documents import DocumentRecord
from shared.schemas.notifications import Notification
from shared.schemas.pages import Newest
from shared.schemas.users import UserRecord

Rows = Any
Queue = Callable[[int], Awaitable[list[UUID]]]
NewUser = Callable[[str], UserRecord]
NewDocument = Callable[..., DocumentRecord]

_MINUTE = timedelta(minutes=1)


def acted(user: UserRecord, moment: datetime) -> ActivityRecord:
    return activity_record(user.id, NewAction(action="read"), moment)


def attached(document: DocumentRecord, moment: datetime) -> Attachment:
    return Attachment(uuid4(), document.id, "a.txt", "text/plain", 2**40, "00", moment)


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
    database: Database, other: Database, new_user: NewUser, now: datetime, rows: Rows
) -> None:
    users = [new_user(f"acting{place}") for place in range(20)]
    async with database.unit_of_work() as unit:
        await unit.users.create_many(users)
    staying, going = users[::2], users[1::2]

    async def store() -> None:
        for _ in range(10):
            async with database.unit_of_work() as unit:
                await unit.activity.create_many([acted(user, now) for user in users])

    async def remove() -> None:
        for user in going:
            await asyncio.sleep(0.01)
            async with other.unit_of_work() as unit:
                await unit.users.delete(user.id, None)

    await asyncio.gather(store(), remove(), store())
    async with database.reader() as reader:
        for user in staying:
            assert len(await reader.activity.list(Newest(user.id, None, 100))) == 20
    assert not await rows.activity.count_documents({"user_id": {"$in": [user.id for user in going]}})


async def test_a_set_may_be_sent_again(database: Database, stored_user: UserRecord, now: datetime) -> None:
    entries = [acted(stored_user, now + timedelta(seconds=place)) for place in range(5)]
    async with database.unit_of_work() as unit:
        await unit.activity.create_many([])
        await unit.activity.create_many(entries[:3])
        await unit.activity.create_many(entries)
        await unit.activity.create_many(entries)
        first = await unit.activity.list(Newest(stored_user.id, None, 2))
        rest = await unit.activity.list(Newest(stored_user.id, (first[-1].created_at, first[-1].id), 9))
    assert [entry.id for entry in (*first, *rest)] == [entry.id for entry in reversed(entries)]
    assert first[0].detail == {}


async def test_what_belongs_to_a_user_goes_along(
    database: Database, stored_user: UserRecord, new_document: NewDocument, queue: Queue, now: datetime
) -> None:
    documents = [new_document(stored_user, title) for title in ("one", "two")]
    attachment = attached(documents[0], now)
    async with database.unit_of_work() as unit:
        await unit.documents.create_many(documents)
        await unit.attachments.create(attachment)
        await unit.activity.create_many([acted(stored_user, now)])
        await queue(1)
        assert await unit.attachments.known([attachment.id, uuid4()]) == {attachment.id}
        await unit.users.delete(stored_user.id, None)
        assert await unit.attachments.known([attachment.id]) == set()
        assert await unit.activity.list(Newest(stored_user.id, None, 9)) == []
        with pytest.raises(NotFound):
            await unit.attachments.create(attachment)
        with pytest.raises(NotFound):
            await queue(1)
    assert await stored_of(database, stored_user.id) == []


async def test_attachments_go_with_their_document_and_leave_its_version_alone(
    database: Database, stored_user: UserRecord, new_document: NewDocument, now: datetime
) -> None:
    document = new_document(stored_user, "with attachments")
    attachments = [attached(document, now + timedelta(seconds=place)) for place in range(3)]
    async with database.unit_of_work() as unit:
        await unit.documents.create(document)
        head = await database.events.head()
        for attachment in attachments:
            await unit.attachments.create(attachment)
        assert await database.events.after(head, 9) == []
        assert (await unit.documents.get(document.id)).version == 1
        assert await unit.attachments.list(Newest(document.id, None, 9)) == attachments[::-1]
        with pytest.raises(PreconditionFailed):
            await unit.attachments.delete(attachments[0].id, frozenset({"01"}))
        await unit.attachments.delete(attachments[0].id, frozenset({"00", "01"}))
        with pytest.raises(NotFound):
            await unit.attachments.delete(attachments[0].id, None)
        with pytest.raises(PreconditionFailed):
            await unit.documents.delete(document.id, frozenset({2}))
        assert len(await unit.attachments.list(Newest(document.id, None, 9))) == 2
        await unit.documents.delete(document.id, frozenset({1}))
        assert await unit.attachments.list(Newest(document.id, None, 9)) == []
        with pytest.raises(NotFound):
            await unit.documents.delete(document.id, None)


async def test_no_attachment_outlives_a_document_or_its_owner_deleted_at_the_same_moment(
    database: Database,
    other: Database,
    new_user: NewUser,
    new_document: NewDocument,
    now: datetime,
    rows: Rows,
) -> None:
    async def attach(document: DocumentRecord) -> None:
        for _ in range(3):
            async with database.unit_of_work() as unit:
                try:
                    await unit.attachments.create(attached(document, now))
                except NotFound:
                    return

    for place in range(10):
        user = new_user(f"attached{place}")
        document = new_document(user, "title")
        async with database.unit_of_work() as unit:
            await unit.users.create(user)
            await unit.documents.create(document)

        async def delete(user: UserRecord = user, document: DocumentRecord = document) -> None:
            await asyncio.sleep(0.002)
            async with other.unit_of_work() as unit:
                if user.email < "attached5":
                    await unit.documents.delete(document.id, None)
                else:
                    await unit.users.delete(user.id, None)

        await asyncio.gather(attach(document), delete(), attach(document))
        assert not await rows.attachments.count_documents({"document_id": document.id})


async def test_claims_at_once_are_disjoint_and_take_all(
    database: Database, other: Database, queue: Queue, now: datetime
) -> None:
    queued = await queue(40)

    async def claim(process: Database) -> list[UUID]:
        found: list[UUID] = []
        while True:
            async with process.unit_of_work() as unit:
                mails = await unit.notifications.claim(uuid4(), now, now + _MINUTE, 4)
            if not mails:
                return found
            assert len(mails) <= 4
            found += [mail.id for mail in mails]

    claims = await asyncio.gather(*(claim((database, other)[place % 2]) for place in range(4)))
    claimed = [mail for found in claims for mail in found]
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


async def test_the_longest_due_come_first_by_their_index(
    database: Database, queue: Queue, now: datetime, rows: Rows
) -> None:
    queued = await queue(5)
    for place, mail_id in enumerate(queued):
        await rows.notifications.update_one({"_id": mail_id}, {"$set": {"due_at": now - place * _MINUTE}})
    async with database.unit_of_work() as unit:
        mails = await unit.notifications.claim(uuid4(), now, now + _MINUTE, 3)
    assert [mail.id for mail in mails] == queued[:1:-1]
    plan = await rows.command(
        "explain",
        {
            "find": "notifications",
            "filter": {"status": "queued", "due_at": {"$lte": now}},
            "sort": {"due_at": 1},
        },
    )
    assert "notifications_due" in str(plan["queryPlanner"]["winningPlan"])
    assert "SORT" not in str(plan["queryPlanner"]["winningPlan"])
