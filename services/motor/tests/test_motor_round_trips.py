"""Round trips are what goes over the wire: the server's own count of commands, the service's, and the number
that the README names."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from motor_service.database import Database
from shared.rules import clock
from shared.schemas.documents import DocumentChange, DocumentListing, DocumentRecord
from shared.schemas.users import UserChange, UserListing, UserRecord
from shared.trips import Trips, current_trips

Rows = Any
# those of the looking client and of the drivers' own upkeep
UPKEEP = {"serverStatus", "hello", "isMaster", "endSessions", "ping", "replSetHeartbeat"}

USERS = UserListing(sort="name", descending=True, after=None, prefix=None, limit=201)
DOCUMENTS = DocumentListing(
    sort="title", descending=False, after=None, owner_id=None, tags=(), where=(), words=(), limit=201
)


async def commands(rows: Rows) -> Counter[str]:
    """How often the server was sent each command, the upkeep left out."""
    counters = (await rows.client.admin.command("serverStatus"))["metrics"]["commands"]
    totals = {name: count["total"] for name, count in counters.items() if isinstance(count, dict)}
    return Counter({name: total for name, total in totals.items() if name not in UPKEEP})


@pytest.fixture
async def count(
    database: Database, rows: Rows
) -> Callable[[Callable[[Any], Awaitable[object]]], Awaitable[tuple[int, int]]]:
    """Runs an operation and gives its round trips, as the server and as the service counted them."""

    async def counted(operation: Callable[[Any], Awaitable[object]]) -> tuple[int, int]:
        trips = Trips()
        before = await commands(rows)
        token = current_trips.set(trips)
        try:
            async with database.reader() as reader:
                await operation(reader)
        finally:
            current_trips.reset(token)
        sent = await commands(rows) - before
        return sent.total(), trips.count

    return counted


async def test_each_operation_takes_as_many_as_its_guarantees_need(
    count: Callable[[Callable[[Any], Awaitable[object]]], Awaitable[tuple[int, int]]],
    new_user: Callable[[str], UserRecord],
    new_document: Callable[..., DocumentRecord],
) -> None:
    ada, bob, *many = [new_user(f"name{place}") for place in range(300)]
    document, other = new_document(ada, "a title", state="new"), new_document(ada, "another")
    batch = [new_document(ada, f"title {place}") for place in range(300)]
    moment = clock.now()
    renamed = UserChange(moment, name="Ada", name_key="ada")
    tagged = DocumentChange(moment, tags=["x"])
    # at a session's first write the server sends itself commands, which it counts too
    await count(lambda work: work.users.create(new_user("first")))
    operations: list[tuple[int, str, Callable[[Any], Awaitable[object]]]] = [
        (1, "users.create", lambda work: work.users.create(ada)),
        (2, "users.create_many", lambda work: work.users.create_many([bob, *many])),
        (1, "users.get", lambda work: work.users.get(ada.id)),
        (1, "users.list", lambda work: work.users.list(USERS)),
        (1, "users.update", lambda work: work.users.update(ada.id, renamed, frozenset({1}))),
        (2, "users.update to the same", lambda work: work.users.update(ada.id, renamed, frozenset({2}))),
        (3, "documents.create", lambda work: work.documents.create(document)),
        (3, "documents.create", lambda work: work.documents.create(other)),
        (3, "documents.create_many", lambda work: work.documents.create_many(batch)),
        (1, "documents.get", lambda work: work.documents.get(document.id)),
        (1, "documents.get_with_owner", lambda work: work.documents.get_with_owner(document.id)),
        (1, "documents.list", lambda work: work.documents.list(DOCUMENTS)),
        (1, "documents.list_with_owners", lambda work: work.documents.list_with_owners(DOCUMENTS)),
        (1, "documents.count", lambda work: work.documents.count(ada.id)),
        (1, "documents.latest", lambda work: work.documents.latest(ada.id, 5)),
        (1, "documents.update", lambda work: work.documents.update(document.id, tagged, frozenset({1}))),
        (1, "documents.delete", lambda work: work.documents.delete(other.id, None)),
        (
            3,
            "documents.transfer",
            lambda work: work.documents.transfer([document.id], ada.id, bob.id, moment),
        ),
        (
            1,
            "documents.transfer to the same",
            lambda work: work.documents.transfer([document.id], bob.id, bob.id, moment),
        ),
        (1, "dashboard.totals", lambda work: work.dashboard.totals()),
        (1, "dashboard.documents_per_day", lambda work: work.dashboard.documents_per_day(moment)),
        (1, "dashboard.top_tags", lambda work: work.dashboard.top_tags(10)),
        (1, "dashboard.top_owners", lambda work: work.dashboard.top_owners(10)),
        (3, "users.delete", lambda work: work.users.delete(ada.id, None)),
    ]
    found = [(name, await count(operation)) for _, name, operation in operations]
    assert found == [(name, (expected, expected)) for expected, name, _ in operations]
