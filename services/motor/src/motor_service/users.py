"""Users on Motor."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from motor_service.models import (
    ACTIVITY_NOTED,
    ATTACHMENT_ADDED,
    DOCUMENT_GIVEN,
    NOTIFICATION_QUEUED,
    TOUCHES,
    USER,
    Row,
    from_user,
    identified,
    to_user,
)
from motor_service.statements import Connection, Session, user_order, users_of
from shared import ports
from shared.errors import EmailTaken, NotFound, PreconditionFailed
from shared.rules.batches import repeats
from shared.rules.etags import Versions
from shared.schemas.users import User, UserChange, UserListing, UserRecord

_DUPLICATE_KEY = 11000
_AT_ONCE = 10_000


class Users(ports.users.Users):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, user: UserRecord) -> None:
        try:
            await self._conn.users.insert_one(from_user(user), session=self._conn.session)
        except DuplicateKeyError as error:
            raise EmailTaken from error

    async def create_many(self, users: Sequence[UserRecord]) -> None:
        keys = [user.email_key for user in users]
        repeated = repeats(keys)
        if repeated:
            raise EmailTaken(sorted(repeated | await self._taken(keys)))
        try:
            await self._conn.transaction([], partial(self._insert, [from_user(user) for user in users]))
        except BulkWriteError as error:
            if error.details["writeErrors"][0]["code"] != _DUPLICATE_KEY:
                raise
            raise EmailTaken(sorted(await self._taken(keys))) from error

    async def get(self, user_id: UUID) -> User:
        row = await self._conn.users.find_one({"_id": user_id}, USER, session=self._conn.session)
        if row is None:
            raise NotFound
        return to_user(row)

    async def list(self, listing: UserListing) -> Sequence[User]:
        rows = self._conn.users.find(
            users_of(listing),
            USER,
            sort=user_order(listing),
            limit=listing.limit or 0,
            batch_size=listing.limit or 0,
            session=self._conn.session,
        )
        return [to_user(row) for row in await rows.to_list(None)]

    async def update(self, user_id: UUID, change: UserChange, expected: Versions) -> User:
        fields = _changed(change)
        while True:
            try:
                row = await self._set(user_id, change, fields, expected)
            except DuplicateKeyError as error:
                raise EmailTaken from error
            if row is not None:
                return to_user(row)
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, user_id: UUID, expected: Versions) -> None:
        await self._conn.transaction([user_id], partial(self._delete, user_id, expected))

    async def _insert(self, rows: Sequence[Row], session: Session) -> None:
        await self._conn.users.insert_many(rows, session=session)

    async def _taken(self, keys: Sequence[str]) -> set[int]:
        # in no transaction: the one whose write was refused is over
        rows = self._conn.users.find(
            {"email_key": {"$in": keys}}, {"_id": 0, "email_key": 1}, batch_size=len(keys) + 1
        )
        taken = {row["email_key"] for row in await rows.to_list(None)}
        return {place for place, key in enumerate(keys) if key in taken}

    async def _set(self, user_id: UUID, change: UserChange, fields: Row, expected: Versions) -> Row | None:
        """The user as it then is, or None where nothing is written: the version, and with it every ETag,
        stays where nothing differs."""
        if not fields:
            return None
        differs = [{name: {"$ne": fields[name]}} for name in ("email", "name") if name in fields]
        changed: Row | None = await self._conn.users.find_one_and_update(
            {**identified(user_id, expected), "$or": differs},
            {"$set": {**fields, "updated_at": change.updated_at}, "$inc": {"version": 1}},
            projection=USER,
            return_document=ReturnDocument.AFTER,
            session=self._conn.session,
        )
        return changed

    async def _delete(self, user_id: UUID, expected: Versions, session: Session) -> None:
        conn = self._conn
        gone = await conn.users.find_one_and_delete(
            identified(user_id, expected), projection=TOUCHES, session=session
        )
        if gone is None:
            stored = await conn.users.find_one({"_id": user_id}, {"_id": 1}, session=session)
            raise NotFound if stored is None else PreconditionFailed
        # where nobody has touched the user for it, there is nothing of the kind
        if DOCUMENT_GIVEN in gone:
            with_attachments = {"owner_id": user_id, ATTACHMENT_ADDED: {"$exists": True}}
            rows = conn.documents.find(with_attachments, {"_id": 1}, batch_size=_AT_ONCE, session=session)
            # all of them together may be more than one reply holds
            while some := await rows.to_list(_AT_ONCE):
                documents = [row["_id"] for row in some]
                await conn.attachments.delete_many({"document_id": {"$in": documents}}, session=session)
            await conn.documents.delete_many({"owner_id": user_id}, session=session)
        if ACTIVITY_NOTED in gone:
            await conn.activity.delete_many({"user_id": user_id}, session=session)
        if NOTIFICATION_QUEUED in gone:
            await conn.notifications.delete_many({"user_id": user_id}, session=session)


def _changed(change: UserChange) -> Row:
    fields = {
        "email": change.email,
        "email_key": change.email_key,
        "name": change.name,
        "name_key": change.name_key,
    }
    return {name: value for name, value in fields.items() if value is not None}
