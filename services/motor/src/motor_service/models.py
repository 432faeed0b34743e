"""How documents of the collections become the shared objects, and back. The collections are declared in
`migrations/`.

Keys of contents are sorted at every level, so that equality by value is one comparison of the server. A key
that starts with `$` is stored with `~` before it: of an object with `$ref` and `$id` the driver makes a DBRef
and loses a part of some. A path of a filter has neither sign, so it reads stored keys as they are.
"""

from collections.abc import Mapping
from typing import Any

from bson.int64 import Int64

from shared.rules.etags import Versions
from shared.schemas.documents import Document, DocumentRecord, OwnedDocument
from shared.schemas.users import User, UserRecord

Row = dict[str, Any]

USER = dict.fromkeys(("email", "name", "version", "created_at", "updated_at"), 1)
DOCUMENT = dict.fromkeys(("owner_id", "title", "content", "tags", "version", "created_at", "updated_at"), 1)
OWNED = {**DOCUMENT, **{f"owner.{field}": 1 for field in ("_id", *USER)}}

_MARKED = ("$", "~")


def identified(row_id: object, expected: Versions) -> Row:
    """The filter for one row in a version that the write accepts."""
    if expected is None:
        return {"_id": row_id}
    return {"_id": row_id, "version": {"$in": sorted(expected)}}


def from_user(user: UserRecord) -> Row:
    return {
        "_id": user.id,
        "email": user.email,
        "email_key": user.email_key,
        "name": user.name,
        "name_key": user.name_key,
        "version": 1,
        "created_at": user.created_at,
        "updated_at": user.created_at,
    }


def to_user(row: Mapping[str, Any]) -> User:
    return User(row["_id"], row["email"], row["name"], row["version"], row["created_at"], row["updated_at"])


def from_document(document: DocumentRecord) -> Row:
    return {
        "_id": document.id,
        "owner_id": document.owner_id,
        "title": document.title,
        "title_key": document.title_key,
        "title_words": document.title_words,
        "content": stored(document.content),
        "content_bytes": len(document.content_json),
        "tags": document.tags,
        "version": 1,
        "created_at": document.created_at,
        "updated_at": document.created_at,
    }


def to_document(row: Mapping[str, Any]) -> Document:
    return Document(*_document(row))


def to_owned_document(row: Mapping[str, Any]) -> OwnedDocument:
    return OwnedDocument(*(*_document(row), to_user(row["owner"])))


def _document(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        row["_id"],
        row["owner_id"],
        row["title"],
        restored(row["content"]),
        row["tags"],
        row["version"],
        row["created_at"],
        row["updated_at"],
    )


def stored(value: Any) -> Any:
    """
    >>> stored({"b": [{"$ref": 1}], "a": 2, "~": 3})
    {'a': 2, 'b': [{'~$ref': 1}], '~~': 3}
    """
    kind = type(value)
    if kind is dict:
        return {
            f"~{name}" if name.startswith(_MARKED) else name: stored(value[name]) for name in sorted(value)
        }
    if kind is list:
        return [stored(member) for member in value]
    return value


def restored(value: Any) -> Any:
    """What `stored` was given, but for the order of keys.

    >>> restored({"a": Int64(2), "b": [{"~$ref": 1}], "~~": 3})
    {'a': 2, 'b': [{'$ref': 1}], '~': 3}
    """
    kind = type(value)
    if kind is dict:
        return {
            name[1:] if name.startswith("~") else name: restored(member) for name, member in value.items()
        }
    if kind is list:
        return [restored(member) for member in value]
    if kind is Int64:
        return int(value)
    return value
