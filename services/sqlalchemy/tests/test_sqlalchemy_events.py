"""Every change leaves its events in the log, in its own transaction; what changes nothing leaves none."""

from collections.abc import Callable

import asyncpg
import pytest

from shared.errors import EmailTaken
from shared.rules import clock
from shared.schemas.documents import DocumentChange, DocumentRecord
from shared.schemas.users import UserChange, UserRecord
from sqlalchemy_service.database import Database


async def test_changes_write_their_events(
    database: Database,
    direct: asyncpg.Connection,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    ada, ben = new_user("Ada"), new_user("Ben")
    one, two = new_document(ada.id, "One"), new_document(ada.id, "Two")
    start = await direct.fetchval("SELECT coalesce(max(seq), 0) FROM events")
    now = clock.now()
    async with database.unit_of_work() as work:
        await work.users.create(ada)
        await work.users.create_many([ben])
        with pytest.raises(EmailTaken):
            await work.users.create(ada)
        await work.users.update(ada.id, UserChange(now, name="Eve", name_key="eve"), None)
        await work.users.update(ada.id, UserChange(now, name="Eve", name_key="eve"), None)
        await work.documents.create(one)
        await work.documents.create_many([two])
        await work.documents.update(one.id, DocumentChange(now, tags=[]), frozenset({1}))
        await work.documents.transfer([one.id], ada.id, ben.id, now)
        await work.documents.transfer([one.id], ben.id, ben.id, now)
        await work.documents.delete(two.id, None)
        await work.users.delete(ben.id, None)
    rows = await direct.fetch(
        "SELECT type, resource_id, owner_id, previous_owner_id, version FROM events WHERE seq > $1", start
    )
    expected = [
        ("user.created", ada.id, ada.id, None, 1),
        ("user.created", ben.id, ben.id, None, 1),
        ("user.updated", ada.id, ada.id, None, 2),
        ("document.created", one.id, ada.id, None, 1),
        ("document.created", two.id, ada.id, None, 1),
        ("document.updated", one.id, ada.id, None, 2),
        ("document.updated", one.id, ben.id, ada.id, 3),
        ("document.deleted", two.id, ada.id, None, 2),
        ("document.deleted", one.id, ben.id, None, 4),
        ("user.deleted", ben.id, ben.id, None, 2),
    ]
    assert sorted(map(tuple, rows), key=str) == sorted(expected, key=str)
