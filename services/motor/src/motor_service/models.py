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
from shared.schemas.activity import Activity, ActivityRecord
from shared.schemas.attachments import Attachment
from shared.schemas.documents import Document, DocumentRecord, OwnedDocument
from shared.schemas.events import EventRecord, EventType
from shared.schemas.notifications import Notification
from shared.schemas.rooms import Client, Post
from shared.schemas.users import User, UserRecord

Row = dict[str, Any]

DOCUMENT_GIVEN, ACTIVITY_NOTED, NOTIFICATION_QUEUED = "given", "noted", "notified"
ATTACHMENT_ADDED = "attached"
"""Counters beside what a client sees, three of a user and one of a document: whoever adds something that goes
with it counts one up, and by that meets whoever deletes it at the same moment; where there is no counter,
there is nothing of the kind."""

USER = dict.fromkeys(("email", "name", "version", "created_at", "updated_at"), 1)
DOCUMENT = dict.fromkeys(("owner_id", "title", "content", "tags", "version", "created_at", "updated_at"), 1)
TOUCHES = dict.fromkeys((DOCUMENT_GIVEN, ACTIVITY_NOTED, NOTIFICATION_QUEUED), 1)
OWNED = {**DOCUMENT, **{f"owner.{field}": 1 for field in ("_id", *USER)}}

_SET = "$updateDescription.updatedFields"
_BEFORE = "$fullDocumentBeforeChange"
CHANGE: Row = {
    "collection": "$ns.coll",
    "operation": "$operationType",
    "resource_id": "$documentKey._id",
    "owner_id": {"$ifNull": ["$fullDocument.owner_id", f"{_SET}.owner_id", f"{_BEFORE}.owner_id"]},
    "previous_owner_id": {
        "$cond": [{"$ne": [{"$type": f"{_SET}.owner_id"}, "missing"]}, f"{_BEFORE}.owner_id", None]
    },
    "version": {"$ifNull": ["$fullDocument.version", f"{_SET}.version", {"$add": [f"{_BEFORE}.version", 1]}]},
    "at": {"$ifNull": ["$fullDocument.created_at", f"{_SET}.updated_at", "$wallTime"]},
    "seq": "$fullDocument.seq",
    "frame": "$fullDocument.frame",
}
"""What is read of an entry of a change stream: never the content of a document, but the whole of a post."""

_TYPES: dict[tuple[str, str], EventType] = {
    ("users", "insert"): "user.created",
    ("users", "update"): "user.updated",
    ("users", "delete"): "user.deleted",
    ("documents", "insert"): "document.created",
    ("documents", "update"): "document.updated",
    ("documents", "delete"): "document.deleted",
}

_MARKED = ("$", "~")


def identified(row_id: object, expected: Versions) -> Row:
    """The filter for one row in a version that the write accepts."""
    if expected is None:
        return {"_id": row_id}
    return {"_id": row_id, "version": {"$in": sorted(expected)}}


def touched(counter: str) -> Row:
    """The update that counts up: it sets no version, so the change feed leaves it out."""
    return {"$inc": {counter: 1}}


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


def from_attachment(attachment: Attachment) -> Row:
    return {
        "_id": attachment.id,
        "document_id": attachment.document_id,
        "filename": attachment.filename,
        "media_type": attachment.media_type,
        "size": Int64(attachment.size),
        "sha256": attachment.sha256,
        "created_at": attachment.created_at,
    }


def to_attachment(row: Mapping[str, Any]) -> Attachment:
    return Attachment(
        row["_id"],
        row["document_id"],
        row["filename"],
        row["media_type"],
        int(row["size"]),
        row["sha256"],
        row["created_at"],
    )


def from_activity(entry: ActivityRecord) -> Row:
    return {
        "_id": entry.id,
        "user_id": entry.user_id,
        "action": entry.action,
        "detail": stored(entry.detail),
        "created_at": entry.created_at,
    }


def to_activity(row: Mapping[str, Any]) -> Activity:
    return Activity(row["_id"], row["user_id"], row["action"], restored(row["detail"]), row["created_at"])


def from_notification(notification: Notification) -> Row:
    return {
        "_id": notification.id,
        "user_id": notification.user_id,
        "subject": notification.subject,
        "body": notification.body,
        "status": notification.status,
        "attempts": notification.attempts,
        "created_at": notification.created_at,
        "sent_at": notification.sent_at,
        "due_at": notification.created_at,
        "lease": None,
    }


def to_notification(row: Mapping[str, Any]) -> Notification:
    return Notification(
        row["_id"],
        row["user_id"],
        row["subject"],
        row["body"],
        row["status"],
        row["attempts"],
        row["created_at"],
        row["sent_at"],
    )


def to_client(row: Mapping[str, Any]) -> Client:
    return Client(row["_id"], row["name"], row["rooms"])


def to_post(row: Mapping[str, Any]) -> Post:
    return Post(row["_id"]["room"], int(row["_id"]["place"]), row["seq"], row["frame"])


def to_event(change: Mapping[str, Any]) -> EventRecord:
    return EventRecord(
        change["_id"]["_data"],
        _TYPES[change["collection"], change["operation"]],
        change["resource_id"],
        change.get("owner_id") or change["resource_id"],
        change.get("previous_owner_id"),
        change["version"],
        change["at"],
    )


def to_heard(change: Mapping[str, Any]) -> EventRecord | Post:
    if change["collection"] == "room_posts":
        return to_post({**change, "_id": change["resource_id"]})
    return to_event(change)


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
