"""Collections, what their rows must be, and indexes.

The change feed follows the collections' change streams. Rows as they were before a change tell it the owner
and the version of what is deleted, and who gave a document away; the server keeps them as long as its oplog.
"""

from pymongo import IndexModel

from motor_service.migrations.collections import BYTES, COUNT, ID, MOMENT, OBJECT, TEXT, TEXTS, declare
from motor_service.statements import Database
from shared.rules import limits

_VERSION = {"bsonType": "int", "minimum": 1, "maximum": limits.VERSION_MAX}

USER = {
    "_id": ID,
    "email": TEXT,
    "email_key": TEXT,
    "name": TEXT,
    "name_key": TEXT,
    "version": _VERSION,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
DOCUMENT = {
    "_id": ID,
    "owner_id": ID,
    "title": TEXT,
    "title_key": TEXT,
    "title_words": TEXTS,
    "content": OBJECT,
    "content_bytes": COUNT,
    "tags": TEXTS,
    "version": _VERSION,
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
_SECRET = {"_id": TEXT, "value": BYTES}

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
    await declare(database, "users", USER, optional={"given": COUNT})
    await declare(database, "documents", DOCUMENT)
    await declare(database, "secrets", _SECRET)
    for name in ("users", "documents"):
        await database.command("collMod", name, changeStreamPreAndPostImages={"enabled": True})
    await database["users"].create_indexes(_USER_INDEXES)
    await database["documents"].create_indexes(_DOCUMENT_INDEXES)
