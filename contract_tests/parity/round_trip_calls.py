"""One request for each operation whose round trips a service's README tells, as it is counted there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

ANY: Final = {"If-Match": "*"}
NOBODY: Final = str(uuid4())

MANY: Final = 500
"""More rows than a page has, and than a driver's first batch."""

Call = tuple[str, str, Any, dict[str, str]]
"""Method, path, body and headers."""


@dataclass
class Rows:
    """Two users and two documents of the first, all at version 1."""

    owner: str
    other: str
    documents: list[str]

    @property
    def document(self) -> str:
        return f"/documents/{self.documents[0]}"


def new_user_body() -> dict[str, str]:
    return {"email": f"{uuid4().hex}@example.org", "name": "Ada"}


def new_document_body(owner: str) -> dict[str, Any]:
    return {"owner_id": owner, "title": "One", "content": {"a": 1}, "tags": ["t"]}


def get(path: Callable[[Rows], str]) -> Callable[[Rows], Call]:
    return lambda rows: ("GET", path(rows), None, {})


def delete(path: Callable[[Rows], str]) -> Callable[[Rows], Call]:
    return lambda rows: ("DELETE", path(rows), None, {})


def post(path: str, body: Callable[[Rows], Any]) -> Callable[[Rows], Call]:
    return lambda rows: ("POST", path, body(rows), {})


def patch(path: Callable[[Rows], str], body: Any, expected: str = "*") -> Callable[[Rows], Call]:
    return lambda rows: ("PATCH", path(rows), body, {"If-Match": expected})


def keyed(call: Callable[[Rows], Call]) -> Callable[[Rows], Call]:
    """The same under an idempotency key of its own."""

    def under_a_key(rows: Rows) -> Call:
        method, path, body, headers = call(rows)
        return method, path, body, {**headers, "Idempotency-Key": uuid4().hex}

    return under_a_key


def _owner(rows: Rows) -> str:
    return f"/users/{rows.owner}"


def _document(rows: Rows) -> str:
    return rows.document


def _transfer(rows: Rows, to: str, documents: list[str] | None = None) -> Any:
    ids = rows.documents if documents is None else documents
    return {"document_ids": ids, "from_owner_id": rows.owner, "to_owner_id": to}


CALLS: Final[dict[str, Callable[[Rows], Call]]] = {
    "users.create": post("/users", lambda _: new_user_body()),
    "users.create_many": post("/users/batch", lambda _: [new_user_body() for _ in range(MANY)]),
    "users.get": get(_owner),
    "users.list": get(lambda _: "/users?limit=200&sort=-name"),
    "users.update": patch(_owner, {"name": "New"}, '"1"'),
    "users.update to the same": patch(_owner, {}),
    "users.update of another version": patch(_owner, {"name": "New"}, '"9"'),
    "users.delete": delete(_owner),
    "users.delete of nobody": delete(lambda _: f"/users/{NOBODY}"),
    "users.summary": get(lambda rows: f"/users/{rows.owner}/summary"),
    "users.documents": get(lambda rows: f"/users/{rows.owner}/documents"),
    "users.documents without any": get(lambda rows: f"/users/{rows.other}/documents"),
    "documents.create": post("/documents", lambda rows: new_document_body(rows.owner)),
    "documents.create for nobody": post("/documents", lambda _: new_document_body(NOBODY)),
    "documents.create_many": post(
        "/documents/batch", lambda rows: [new_document_body(rows.owner) for _ in range(MANY)]
    ),
    "documents.create_many for nobody": post(
        "/documents/batch", lambda rows: [new_document_body(owner) for owner in (rows.owner, NOBODY)]
    ),
    "documents.get": get(_document),
    "documents.get with the owner": get(lambda rows: f"{rows.document}?include=owner"),
    "documents.list": get(lambda _: "/documents?tag=t&q=one&where=a:eq:1&limit=200"),
    "documents.list with the owners": get(lambda _: "/documents?include=owner&limit=200"),
    "documents.patch": patch(_document, {"title": "New"}, '"1"'),
    "documents.patch of the content": patch(_document, {"content": {"b": 2}}),
    "documents.patch to the same": patch(_document, {"tags": ["t"]}),
    "documents.put": lambda rows: ("PUT", rows.document, {"title": "P", "content": {}, "tags": []}, ANY),
    "documents.delete": delete(_document),
    "documents.stats": get(lambda rows: f"{rows.document}/stats"),
    "documents.transfer": post("/documents/transfer", lambda rows: _transfer(rows, rows.other)),
    "documents.transfer to the same": post("/documents/transfer", lambda rows: _transfer(rows, rows.owner)),
    "documents.transfer to nobody": post("/documents/transfer", lambda rows: _transfer(rows, NOBODY)),
    "users.create under a key": keyed(post("/users", lambda _: new_user_body())),
    "users.create_many under a key": keyed(post("/users/batch", lambda _: [new_user_body()])),
    "documents.create under a key": keyed(post("/documents", lambda rows: new_document_body(rows.owner))),
    "documents.transfer under a key": keyed(
        post("/documents/transfer", lambda rows: _transfer(rows, rows.other))
    ),
    "attachments.list without any": get(lambda rows: f"{rows.document}/attachments?limit=1"),
    "activity.list without any": get(lambda rows: f"/users/{rows.owner}/activity"),
    "notifications.list without any": get(lambda rows: f"/users/{rows.owner}/notifications"),
    "documents.transfer of nothing": post(
        "/documents/transfer", lambda rows: _transfer(rows, rows.other, [NOBODY])
    ),
    "dashboard": get(lambda _: "/dashboard"),
    "readyz": get(lambda _: "/readyz"),
    "livez": get(lambda _: "/livez"),
}
