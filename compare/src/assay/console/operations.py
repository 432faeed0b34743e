"""The operations of the contract that are a request with an answer, each with an example filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Operation:
    """path: as in the API description. body: JSON, or with `upload` the text of a file."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    upload: bool = False


_ANY_VERSION: Final = {"If-Match": "*"}
_USER: Final = {"email": "grace-{unique}@example.org", "name": "Grace Hopper"}
_USERS: Final = [
    {"email": f"{name}-{{unique}}@example.org", "name": name.title()} for name in ("edsger", "barbara")
]
_DOCUMENT: Final = {
    "owner_id": "{user_id}",
    "title": "Notes on the engine",
    "content": {"state": "open", "size": 3},
    "tags": ["notes"],
}
_REPLACED: Final = {
    "title": "Notes, second edition",
    "content": {"state": "done", "size": 4},
    "tags": ["notes"],
}
_TRANSFER: Final = {
    "document_ids": ["{document_id}"],
    "from_owner_id": "{user_id}",
    "to_owner_id": "{other_user_id}",
}

OPERATIONS: Final = (
    Operation("GET", "/users/{user_id}"),
    Operation("GET", "/users", "limit=5&sort=-created_at"),
    Operation("POST", "/users", body=_USER),
    Operation("POST", "/users/batch", body=_USERS),
    Operation("PATCH", "/users/{user_id}", headers=_ANY_VERSION, body={"name": "Ada, Countess of Lovelace"}),
    Operation("DELETE", "/users/{user_id}"),
    Operation("GET", "/users/{user_id}/summary"),
    Operation("GET", "/users/{user_id}/documents", "limit=5"),
    Operation("GET", "/documents/{document_id}"),
    Operation("GET", "/documents", "limit=5&include=owner&where=size:gt:1"),
    Operation("POST", "/documents", body=_DOCUMENT),
    Operation("POST", "/documents/batch", body=[_DOCUMENT, _DOCUMENT]),
    Operation("POST", "/documents/transfer", body=_TRANSFER),
    Operation("PUT", "/documents/{document_id}", headers=_ANY_VERSION, body=_REPLACED),
    Operation("PATCH", "/documents/{document_id}", headers=_ANY_VERSION, body={"content": {"state": None}}),
    Operation("DELETE", "/documents/{document_id}"),
    Operation("GET", "/documents/{document_id}/stats"),
    Operation("POST", "/documents/{document_id}/attachments", body="One small file.\n", upload=True),
    Operation("GET", "/documents/{document_id}/attachments"),
    Operation("GET", "/attachments/{attachment_id}"),
    Operation("DELETE", "/attachments/{attachment_id}"),
    Operation(
        "POST", "/users/{user_id}/actions", body={"action": "signed in", "detail": {"from": "console"}}
    ),
    Operation("GET", "/users/{user_id}/activity"),
    Operation(
        "POST", "/users/{user_id}/notifications", body={"subject": "Hello", "body": "From the console."}
    ),
    Operation("GET", "/users/{user_id}/notifications"),
    Operation("GET", "/users/export", "format=csv"),
    Operation("GET", "/documents/export", "format=ndjson"),
    Operation("GET", "/reports/overview"),
    Operation("GET", "/dashboard"),
    Operation("GET", "/info"),
    Operation("GET", "/livez"),
    Operation("GET", "/readyz"),
    Operation("GET", "/metrics"),
)
