"""Round trips: what the service says of itself, what the README says, and what went over the wire."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from assay.stand.relay import Relay

NewUser = Callable[[], Awaitable[str]]
NewDocuments = Callable[[str, int], Awaitable[list[str]]]

_README = Path(__file__).parent.parent / "README.md"
_ROW = re.compile(r"^\| (\d) \| (.+) \|$", re.MULTILINE)
_NAME = re.compile("`(.+?)`")
_COUNTED = re.compile(r'desc="(\d+)"')
# A connection asks about each statement once, and which of the two a query of several gets is chance.
_CALLS_UNTIL_PREPARED = 30
_ANY = {"If-Match": "*"}
_NOBODY = str(uuid4())


@dataclass
class Rows:
    """Two users and two documents of the first, all at version 1."""

    owner: str
    other: str
    documents: list[str]

    @property
    def document(self) -> str:
        return f"/documents/{self.documents[0]}"


Call = tuple[str, str, Any, dict[str, str]]


def new_user_body() -> dict[str, str]:
    return {"email": f"{uuid4().hex}@example.org", "name": "Ada"}


def new_document_body(owner: str) -> dict[str, Any]:
    return {"owner_id": owner, "title": "One", "content": {"a": 1}, "tags": ["t"]}


def transfer(rows: Rows, to: str, documents: list[str] | None = None) -> Call:
    ids = rows.documents if documents is None else documents
    body = {"document_ids": ids, "from_owner_id": rows.owner, "to_owner_id": to}
    return "POST", "/documents/transfer", body, {}


CALLS: dict[str, Callable[[Rows], Call]] = {
    "users.create": lambda rows: ("POST", "/users", new_user_body(), {}),
    "users.create_many": lambda rows: ("POST", "/users/batch", [new_user_body() for _ in range(100)], {}),
    "users.get": lambda rows: ("GET", f"/users/{rows.owner}", None, {}),
    "users.list": lambda rows: ("GET", "/users?limit=5&sort=-name", None, {}),
    "users.update": lambda rows: ("PATCH", f"/users/{rows.owner}", {"name": "New"}, _ANY),
    "users.update to the same": lambda rows: ("PATCH", f"/users/{rows.owner}", {}, _ANY),
    "users.update of another version": lambda rows: (
        "PATCH",
        f"/users/{rows.owner}",
        {"name": "New"},
        {"If-Match": '"9"'},
    ),
    "users.delete": lambda rows: ("DELETE", f"/users/{rows.owner}", None, {}),
    "users.summary": lambda rows: ("GET", f"/users/{rows.owner}/summary", None, {}),
    "users.documents": lambda rows: ("GET", f"/users/{rows.owner}/documents", None, {}),
    "users.documents without any": lambda rows: ("GET", f"/users/{rows.other}/documents", None, {}),
    "documents.create": lambda rows: ("POST", "/documents", new_document_body(rows.owner), {}),
    "documents.create for nobody": lambda rows: ("POST", "/documents", new_document_body(_NOBODY), {}),
    "documents.create_many": lambda rows: (
        "POST",
        "/documents/batch",
        [new_document_body(rows.owner) for _ in range(100)],
        {},
    ),
    "documents.create_many for nobody": lambda rows: (
        "POST",
        "/documents/batch",
        [new_document_body(owner) for owner in (rows.owner, _NOBODY)],
        {},
    ),
    "documents.get": lambda rows: ("GET", rows.document, None, {}),
    "documents.get with the owner": lambda rows: ("GET", f"{rows.document}?include=owner", None, {}),
    "documents.list": lambda rows: ("GET", "/documents?tag=t&q=t0&where=a:eq:1&limit=5", None, {}),
    "documents.list with the owners": lambda rows: ("GET", "/documents?include=owner&limit=5", None, {}),
    "documents.patch": lambda rows: ("PATCH", rows.document, {"title": "New"}, {"If-Match": '"1"'}),
    "documents.patch of the content": lambda rows: ("PATCH", rows.document, {"content": {"b": 2}}, _ANY),
    "documents.patch to the same": lambda rows: ("PATCH", rows.document, {"tags": ["t"]}, _ANY),
    "documents.put": lambda rows: ("PUT", rows.document, {"title": "P", "content": {}, "tags": []}, _ANY),
    "documents.delete": lambda rows: ("DELETE", rows.document, None, {}),
    "documents.stats": lambda rows: ("GET", f"{rows.document}/stats", None, {}),
    "documents.transfer": lambda rows: transfer(rows, rows.other),
    "documents.transfer to nobody": lambda rows: transfer(rows, _NOBODY),
    "documents.transfer of nothing": lambda rows: transfer(rows, rows.other, [_NOBODY]),
    "dashboard": lambda rows: ("GET", "/dashboard", None, {}),
    "readyz": lambda rows: ("GET", "/readyz", None, {}),
    "livez": lambda rows: ("GET", "/livez", None, {}),
}


def promised() -> dict[str, int]:
    """The table of the README, by operation."""
    return {
        name: int(trips)
        for trips, names in _ROW.findall(_README.read_text("utf-8"))
        for name in _NAME.findall(names)
    }


def test_the_readme_tells_of_every_operation() -> None:
    assert sorted(promised()) == sorted(CALLS)


@pytest.mark.parametrize("operation", CALLS)
async def test_an_operation_takes_the_round_trips_that_it_tells(
    api: httpx2.AsyncClient, relay: Relay, new_user: NewUser, new_documents: NewDocuments, operation: str
) -> None:
    for _ in range(_CALLS_UNTIL_PREPARED):
        owner, other = await new_user(), await new_user()
        rows = Rows(owner, other, await new_documents(owner, 2))
        method, path, body, headers = CALLS[operation](rows)
        trips, flushes = relay.round_trips, relay.flushes
        answer = await api.request(method, path, json=body, headers=headers)
        assert answer.status_code < 500, answer.text
        trips, flushes = relay.round_trips - trips, relay.flushes - flushes
        counted = _COUNTED.search(answer.headers["server-timing"])
        assert counted is not None
        assert int(counted[1]) == trips + flushes
        if not flushes:
            break
    assert (trips, flushes) == (promised()[operation], 0)
