"""A connection that breaks after a command was sent and before its answer came: the driver sends the command
again, and the server does it once."""

from collections.abc import Callable

import pytest

from assay.stand.relay import Relay, open_relay
from motor_service.database import open_database
from shared.rules import clock
from shared.schemas.documents import DocumentChange, DocumentRecord
from shared.schemas.users import UserChange, UserRecord
from shared.settings import Settings


def lose_answer(relay: Relay, command: str) -> None:
    # in BSON a field's name ends with a zero byte
    relay.lose_answer(command.encode() + b"\0")


@pytest.mark.parametrize("command", ["findAndModify", "insert", "update", "commitTransaction"])
async def test_a_write_that_is_sent_twice_is_done_once(
    settings: Settings,
    command: str,
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    user = new_user(f"once{command}".lower())
    document = new_document(user, "a title")
    async with (
        open_relay(settings.mongodb_url) as relay,
        # time enough for both on a busy machine
        open_database(settings.model_copy(update={"mongodb_url": relay.url, "db_timeout": 40})) as database,
    ):
        await database.ping()
        async with database.unit_of_work() as work:
            if command == "insert":
                lose_answer(relay, command)
            await work.users.create(user)
            if command in ("update", "commitTransaction"):
                lose_answer(relay, command)
            await work.documents.create(document)
            if command == "findAndModify":
                lose_answer(relay, command)
            change = UserChange(clock.now(), name="Other", name_key="other")
            changed = await work.users.update(user.id, change, frozenset({1}))
            await work.documents.update(document.id, DocumentChange(clock.now(), title="B"), frozenset({1}))
            stored = await work.documents.get(document.id)
    assert relay.lost_answers == 1
    assert (changed.version, stored.version, stored.title) == (2, 2, "B")
