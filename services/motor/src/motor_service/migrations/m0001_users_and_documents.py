"""Collections, what their rows must be, and indexes.

The change feed follows the collections' change streams. Rows as they were before a change tell it the owner
and the version of what is deleted, and who gave a document away; the server keeps them as long as its oplog.
"""

from typing import Any

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from motor_service.statements import Database
from shared.rules import limits

_NAMESPACE_EXISTS = 48

_ID = {"bsonType": "binData"}
_TEXT = {"bsonType": "string"}
_TEXTS = {"bsonType": "array", "items": _TEXT}
_MOMENT = {"bsonType": "date"}
_VERSION = {"bsonType": "int", "minimum": 1, "maximum": limits.VERSION_MAX}
_COUNT = {"bsonType": ["int", "long"], "minimum": 0}

_USER = {
    "_id": _ID,
    "email": _TEXT,
    "email_key": _TEXT,
    "name": _TEXT,
    "name_key": _TEXT,
    "version": _VERSION,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}
_DOCUMENT = {
    "_id": _ID,
    "owner_id": _ID,
    "title": _TEXT,
    "title_key": _TEXT,
    "title_words": _TEXTS,
    "content": {"bsonType": "object"},
    "content_bytes": _COUNT,
    "tags": _TEXTS,
    "version": _VERSION,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}
_SECRET = {"_id": _TEXT, "value": {"bsonType": "binData"}}

_USER_INDEXES = [
    IndexModel("email_key", name="users_email_key_unique", unique=True),
    IndexModel(["created_at", "_id"], name="users_by_created_at"),
    IndexModel(["name_key", "_id"], name="users_by_name"),
]
_DOCUMENT_INDEXES = [
    IndexModel(["created_at", "_id"], name="documents_by_created_at"),
    IndexModel(["updated_at", "_id"], name="documents_by_updated_at"),
    IndexModel(["title_key", "_id"], name="documents_by_title"),
    IndexModel(["owner_id", "created_at", "_id"], name="documents_by_owner"),
    IndexModel(["tags", "created_at", "_id"], name="documents_by_tag"),
    IndexModel(["title_words", "created_at", "_id"], name="documents_by_word"),
]


async def apply(database: Database) -> None:
    await _declare(database, "users", _USER, optional={"given": _COUNT})
    await _declare(database, "documents", _DOCUMENT)
    await _declare(database, "secrets", _SECRET)
    for name in ("users", "documents"):
        await database.command("collMod", name, changeStreamPreAndPostImages={"enabled": True})
    await database["users"].create_indexes(_USER_INDEXES)
    await database["documents"].create_indexes(_DOCUMENT_INDEXES)


async def _declare(
    database: Database, name: str, fields: dict[str, Any], optional: dict[str, Any] | None = None
) -> None:
    schema = {
        "bsonType": "object",
        "required": list(fields),
        "properties": {**fields, **(optional or {})},
        "additionalProperties": False,
    }
    try:
        await database.create_collection(name, check_exists=False)
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
    await database.command("collMod", name, validator={"$jsonSchema": schema}, validationLevel="strict")
