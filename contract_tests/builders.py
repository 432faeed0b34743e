"""Valid payloads and rows: unique by default, one field changed by keyword."""

import itertools
import secrets
from collections.abc import Mapping
from typing import Any, Final

from api import Api

_RUN: Final = secrets.token_hex(4)
_NUMBERS: Final = itertools.count(1)


def unique_word(prefix: str = "w") -> str:
    """A word of letters and digits that no other test uses."""
    return f"{prefix}{next(_NUMBERS)}x{_RUN}"


def unique_email() -> str:
    return f"{unique_word('user')}@example.org"


def new_user(**fields: Any) -> dict[str, Any]:
    """The body of a valid POST /users."""
    return {"email": unique_email(), "name": "Ada Lovelace", **fields}


def new_document(owner_id: str, **fields: Any) -> dict[str, Any]:
    """The body of a valid POST /documents."""
    return {
        "owner_id": owner_id,
        "title": "On the analytical engine",
        "content": {"kind": "note", "words": 3},
        "tags": ["engine"],
        **fields,
    }


async def make_user(api: Api, **fields: Any) -> dict[str, Any]:
    """Creates a user and gives it as answered."""
    response = await api.post("/users", json=new_user(**fields))
    assert response.status_code == 201, response.text
    return _object(response.json())


async def make_users(api: Api, count: int, **fields: Any) -> list[dict[str, Any]]:
    """Creates users in one batch, in order."""
    response = await api.post("/users/batch", json=[new_user(**fields) for _ in range(count)])
    assert response.status_code == 201, response.text
    return [_object(item) for item in response.json()["items"]]


async def make_document(api: Api, owner: Mapping[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Creates a document, with an owner of its own if none is given."""
    owner = owner or await make_user(api)
    response = await api.post("/documents", json=new_document(owner["id"], **fields))
    assert response.status_code == 201, response.text
    return _object(response.json())


async def make_documents(
    api: Api, owner: Mapping[str, Any], count: int, **fields: Any
) -> list[dict[str, Any]]:
    """Creates equal documents of one owner in one batch, in order."""
    bodies = [new_document(owner["id"], **fields) for _ in range(count)]
    response = await api.post("/documents/batch", json=bodies)
    assert response.status_code == 201, response.text
    return [_object(item) for item in response.json()["items"]]


def etag(resource: Mapping[str, Any]) -> str:
    """The ETag that a resource of this version carries."""
    return f'"{resource["version"]}"'


def if_match(resource: Mapping[str, Any]) -> dict[str, str]:
    """The header of a write that wants the resource to be as it is here."""
    return {"If-Match": etag(resource)}


def _object(value: object) -> dict[str, Any]:
    assert isinstance(value, dict), value
    return value
