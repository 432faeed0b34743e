"""What belongs to users and documents and goes with them, kept answers, and rooms.

The log of changes needs nothing more: it is the server's own.
"""

from pymongo import IndexModel

from motor_service.migrations.collections import (
    BYTES,
    COUNT,
    ID,
    MOMENT,
    OBJECT,
    TEXT,
    TEXTS,
    Fields,
    declare,
    or_null,
)
from motor_service.migrations.m0001_users_and_documents import DOCUMENT, USER
from motor_service.statements import Database

# who adds something that goes with a row counts one up there
_TOUCHES_OF_USER = dict.fromkeys(("given", "noted", "notified"), COUNT)
_TOUCHES_OF_DOCUMENT = {"attached": COUNT}
_TOUCHES_OF_CLIENT = {"direct": COUNT}

_COLLECTIONS: dict[str, Fields] = {
    "attachments": {
        "_id": ID,
        "document_id": ID,
        "filename": TEXT,
        "media_type": TEXT,
        "size": COUNT,
        "sha256": TEXT,
        "created_at": MOMENT,
    },
    "activity": {"_id": ID, "user_id": ID, "action": TEXT, "detail": OBJECT, "created_at": MOMENT},
    "notifications": {
        "_id": ID,
        "user_id": ID,
        "subject": TEXT,
        "body": TEXT,
        "status": TEXT,
        "attempts": COUNT,
        "created_at": MOMENT,
        "sent_at": or_null(MOMENT),
        "due_at": MOMENT,
        "lease": or_null(ID),
    },
    # the key is the id; what is longer than a document may be goes on in parts
    "idempotency_keys": {
        "_id": BYTES,
        "fingerprint": BYTES,
        "status": {"bsonType": ["int", "null"]},
        "location": or_null(TEXT),
        "etag": or_null(TEXT),
        "body": or_null(BYTES),
        "parts": {"bsonType": "array", "items": ID},
        "created_at": MOMENT,
    },
    "idempotency_parts": {"_id": ID, "body": BYTES, "created_at": MOMENT},
    # the name is the id, and of a post the room and the place
    "rooms": {"_id": TEXT, "place": COUNT, "seq": COUNT, "posted_at": MOMENT},
    "room_posts": {
        "_id": OBJECT,
        "seq": {"bsonType": ["int", "long", "null"]},
        "frame": TEXT,
        "at": MOMENT,
    },
}
_CLIENT: Fields = {"_id": ID, "name": TEXT, "rooms": TEXTS, "expires_at": MOMENT}

_INDEXES = {
    "attachments": [IndexModel(["document_id", "created_at", "_id"], name="attachments_by_document")],
    "activity": [IndexModel(["user_id", "created_at", "_id"], name="activity_by_user")],
    "notifications": [
        IndexModel(["user_id", "created_at", "_id"], name="notifications_by_user"),
        IndexModel("due_at", name="notifications_due", partialFilterExpression={"status": "queued"}),
    ],
    "idempotency_keys": [IndexModel("created_at", name="idempotency_keys_by_created_at")],
    "idempotency_parts": [IndexModel("created_at", name="idempotency_parts_by_created_at")],
    "clients": [IndexModel("expires_at", name="clients_by_expires_at")],
    "rooms": [IndexModel("posted_at", name="rooms_by_posted_at")],
    "room_posts": [IndexModel("at", name="room_posts_by_at")],
}


async def apply(database: Database) -> None:
    await declare(database, "users", USER, optional=_TOUCHES_OF_USER)
    await declare(database, "documents", DOCUMENT, optional=_TOUCHES_OF_DOCUMENT)
    for name, fields in _COLLECTIONS.items():
        await declare(database, name, fields)
    await declare(database, "clients", _CLIENT, optional=_TOUCHES_OF_CLIENT)
    for name, indexes in _INDEXES.items():
        await database[name].create_indexes(indexes)
