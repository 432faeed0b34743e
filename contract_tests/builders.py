"""Valid payloads and rows: unique by default, one field changed by keyword."""

import itertools
import secrets
from collections.abc import Mapping
from typing import Any, Final

import httpx2
from api import Api

BOUNDARY: Final = "b0undary"
FORM: Final = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
"""The header of a request whose body `form` made."""

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


def form(*parts: tuple[str, bytes], end: str = "--") -> bytes:
    """A multipart body of parts: the lines of each one's header, and its bytes."""
    written = [f"--{BOUNDARY}\r\n{lines}\r\n\r\n".encode() + content + b"\r\n" for lines, content in parts]
    return b"".join([*written, f"--{BOUNDARY}{end}\r\n".encode()])


def file_part(filename: str, content: bytes, *lines: str, name: str = "file") -> tuple[str, bytes]:
    """A part of a form with a file in it, and further lines of its header."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return "\r\n".join([disposition, *lines]), content


async def upload(
    api: Api,
    document: Mapping[str, Any],
    content: bytes,
    filename: str = "notes.txt",
    media_type: str = "text/plain",
    **options: Any,
) -> httpx2.Response:
    """Attaches a file; `options` are httpx2's."""
    path = f"/documents/{document['id']}/attachments"
    return await api.post(path, files={"file": (filename, content, media_type)}, **options)


async def make_attachment(api: Api, document: Mapping[str, Any], content: bytes = b"") -> dict[str, Any]:
    """Attaches a file, of its own content if none is given."""
    response = await upload(api, document, content or unique_word().encode())
    assert response.status_code == 201, response.text
    return _object(response.json())


def etag(resource: Mapping[str, Any]) -> str:
    """The ETag that a resource of this version carries."""
    return f'"{resource["version"]}"'


def if_match(resource: Mapping[str, Any]) -> dict[str, str]:
    """The header of a write that wants the resource to be as it is here."""
    return {"If-Match": etag(resource)}


def _object(value: object) -> dict[str, Any]:
    assert isinstance(value, dict), value
    return value
