"""The log of the change feed: a row for each change and for nothing else, in the change's own step."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import httpx2
import pytest

NewUser = Callable[[], Awaitable[str]]
NewDocuments = Callable[[str, int], Awaitable[list[str]]]
Event = tuple[str, str, str, str | None, int]
Logged = Callable[[], Awaitable[list[Event]]]

_ANY = {"If-Match": "*"}
_HEAD = "SELECT coalesce(max(seq), 0) FROM events"
_EVENTS = "SELECT * FROM events WHERE seq > $1 ORDER BY seq"


@pytest.fixture
async def owner(new_user: NewUser) -> str:
    return await new_user()


@pytest.fixture
async def document(owner: str, new_documents: NewDocuments) -> str:
    return (await new_documents(owner, 1))[0]


@pytest.fixture
async def logged(owner: str, document: str, rows: asyncpg.Connection) -> AsyncIterator[Logged]:
    """The events since the last call: (type, resource, owner, previous owner, version)."""
    head = await rows.fetchval(_HEAD)

    async def read() -> list[Event]:
        nonlocal head
        found = await rows.fetch(_EVENTS, head)
        head = found[-1]["seq"] if found else head
        return [event_of(row) for row in found]

    yield read
    assert await read() == []


def event_of(row: asyncpg.Record) -> Event:
    previous = row["previous_owner_id"]
    return (
        row["type"],
        str(row["resource_id"]),
        str(row["owner_id"]),
        None if previous is None else str(previous),
        row["version"],
    )


async def call(api: httpx2.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    answer = await api.request(method, path, json=body, headers=_ANY if method in ("PATCH", "PUT") else {})
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def test_creating_one_or_many_is_one_event_each(
    api: httpx2.AsyncClient, owner: str, logged: Logged
) -> None:
    emails = [f"{owner}-{place}@example.org" for place in range(3)]
    one = await call(api, "POST", "/users", {"email": emails[0], "name": "A"})
    assert await logged() == [("user.created", one["id"], one["id"], None, 1)]
    many = await call(api, "POST", "/users/batch", [{"email": email, "name": "B"} for email in emails[1:]])
    ids = [user["id"] for user in many["items"]]
    assert await logged() == [("user.created", user, user, None, 1) for user in ids]
    bodies = [{"owner_id": user, "title": "T"} for user in (ids[0], one["id"])]
    single = await call(api, "POST", "/documents", bodies[0])
    assert await logged() == [("document.created", single["id"], ids[0], None, 1)]
    batch = await call(api, "POST", "/documents/batch", bodies)
    assert await logged() == [
        ("document.created", made["id"], made["owner_id"], None, 1) for made in batch["items"]
    ]


async def test_an_update_is_an_event_where_it_changes_anything(
    api: httpx2.AsyncClient, owner: str, document: str, logged: Logged
) -> None:
    for version in (2, 3):
        await call(api, "PATCH", f"/users/{owner}", {"name": f"N{version}"})
        assert await logged() == [("user.updated", owner, owner, None, version)]
    await call(api, "PATCH", f"/users/{owner}", {"name": "N3"})
    assert await logged() == []
    await call(api, "PATCH", f"/documents/{document}", {"content": {"a": 1}})
    assert await logged() == [("document.updated", document, owner, None, 2)]
    await call(api, "PATCH", f"/documents/{document}", {"content": {"a": 1.0}})
    assert await logged() == []
    await call(api, "PUT", f"/documents/{document}", {"title": "T", "content": {}, "tags": []})
    assert await logged() == [("document.updated", document, owner, None, 3)]


async def test_an_event_tells_the_time_of_its_change(
    api: httpx2.AsyncClient, document: str, logged: Logged, rows: asyncpg.Connection
) -> None:
    changed = await call(api, "PATCH", f"/documents/{document}", {"title": "Later"})
    await logged()
    at = await rows.fetchval("SELECT at FROM events ORDER BY seq DESC LIMIT 1")
    assert at.isoformat(timespec="milliseconds").replace("+00:00", "Z") == changed["updated_at"]


async def test_a_deleted_user_takes_the_documents_along(
    api: httpx2.AsyncClient, owner: str, document: str, new_documents: NewDocuments, logged: Logged
) -> None:
    more = await new_documents(owner, 2)
    await call(api, "PATCH", f"/documents/{document}", {"title": "Twice"})
    await logged()
    await call(api, "DELETE", f"/users/{owner}")
    gone = {("document.deleted", other, owner, None, 2) for other in more}
    assert set(found := await logged()) == gone | {
        ("document.deleted", document, owner, None, 3),
        ("user.deleted", owner, owner, None, 2),
    }
    assert len(found) == 4


async def test_a_deleted_document_is_one_event(
    api: httpx2.AsyncClient, owner: str, document: str, logged: Logged
) -> None:
    await call(api, "DELETE", f"/documents/{document}")
    assert await logged() == [("document.deleted", document, owner, None, 2)]


async def test_a_transfer_tells_both_owners_and_to_the_same_one_nothing(
    api: httpx2.AsyncClient,
    owner: str,
    document: str,
    new_user: NewUser,
    new_documents: NewDocuments,
    logged: Logged,
) -> None:
    documents = sorted([document, *await new_documents(owner, 2)])
    other = await new_user()
    await logged()
    body = {"document_ids": documents, "from_owner_id": owner, "to_owner_id": other}
    await call(api, "POST", "/documents/transfer", body | {"to_owner_id": owner})
    assert await logged() == []
    await call(api, "POST", "/documents/transfer", body)
    assert sorted(await logged()) == sorted(
        ("document.updated", moved, other, owner, 2) for moved in documents
    )


async def test_a_refused_change_is_no_event(
    api: httpx2.AsyncClient, owner: str, document: str, logged: Logged
) -> None:
    email = (await call(api, "GET", f"/users/{owner}"))["email"]
    nobody = document
    new = {"email": f"new-{owner}@example.org", "name": "A"}
    refused = [
        await api.post("/users", json={"email": email.upper(), "name": "A"}),
        await api.post("/users/batch", json=[new, new | {"email": email}]),
        await api.post("/documents", json={"owner_id": nobody, "title": "T"}),
        await api.post(
            "/documents/batch", json=[{"owner_id": owner, "title": "T"}, {"owner_id": nobody, "title": "T"}]
        ),
        await api.patch(f"/documents/{document}", json={"title": "N"}, headers={"If-Match": '"7"'}),
        await api.delete(f"/users/{owner}", headers={"If-Match": '"7"'}),
        await api.post(
            "/documents/transfer",
            json={"document_ids": [document], "from_owner_id": owner, "to_owner_id": nobody},
        ),
    ]
    assert [answer.status_code for answer in refused] == [409, 409, 422, 422, 412, 412, 409]
    assert await logged() == []
