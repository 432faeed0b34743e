"""Users on Tortoise ORM."""

from collections.abc import Sequence
from uuid import UUID

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import DoesNotExist, IntegrityError
from tortoise.expressions import F, Q
from tortoise.queryset import QuerySet

from shared import ports
from shared.errors import EmailTaken, NotFound, PreconditionFailed
from shared.rules.batches import repeats
from shared.rules.etags import Versions
from shared.rules.text_keys import prefix_end
from shared.schemas.users import User, UserChange, UserListing, UserRecord
from tortoise_service.models import UserRow, to_user
from tortoise_service.statements import (
    After,
    Among,
    insert_many,
    savepoint,
    update_returning,
    with_versions,
)

_SORT_KEYS = {"created_at": "created_at", "name": "name_key", "email": "email_key"}


class Users(ports.users.Users):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def create(self, user: UserRecord) -> None:
        try:
            await UserRow.create(
                using_db=self._client,
                id=user.id,
                email=user.email,
                email_key=user.email_key,
                name=user.name,
                name_key=user.name_key,
                version=1,
                created_at=user.created_at,
                updated_at=user.created_at,
            )
        except IntegrityError as error:
            raise EmailTaken from error

    async def create_many(self, users: Sequence[UserRecord]) -> None:
        keys = [user.email_key for user in users]
        repeated = repeats(keys)
        if repeated:
            raise EmailTaken(sorted(repeated | await self._taken(keys)))
        try:
            # in the order of the keys: two batches with the same e-mails never wait in a circle
            ordered = sorted(users, key=lambda user: user.email_key)
            async with savepoint(self._client):
                await insert_many(self._client, UserRow, orjson.dumps(ordered))
        except IntegrityError as error:
            raise EmailTaken(sorted(await self._taken(keys))) from error

    async def get(self, user_id: UUID) -> User:
        try:
            return to_user(await UserRow.get(id=user_id, using_db=self._client))
        except DoesNotExist as error:
            raise NotFound from error

    async def list(self, listing: UserListing) -> Sequence[User]:
        return [to_user(row) for row in await listed(self._client, listing)]

    async def update(self, user_id: UUID, change: UserChange, expected: Versions) -> User:
        while True:
            row = await self._changed(user_id, change, expected)
            if row is not None:
                return to_user(row)
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, user_id: UUID, expected: Versions) -> None:
        # what is the user's goes along, by its foreign keys
        while not await with_versions(UserRow.filter(id=user_id), expected).using_db(self._client).delete():
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed

    async def _changed(self, user_id: UUID, change: UserChange, expected: Versions) -> UserRow | None:
        """The row as it now is; None where the change found no row of these versions that differs from it:
        nothing is written then, so that the version, and with it every ETag, stays."""
        sets = {name: value for name in ("email", "name") if (value := getattr(change, name)) is not None}
        if not sets:
            return None
        differs = Q(*(Q(**{f"{name}__not": value}) for name, value in sets.items()), join_type=Q.OR)
        keys = {f"{name}_key": getattr(change, f"{name}_key") for name in sets}
        rows = with_versions(UserRow.filter(differs, id=user_id), expected)
        try:
            changed = await update_returning(
                self._client, rows, **sets, **keys, version=F("version") + 1, updated_at=change.updated_at
            )
        except IntegrityError as error:
            raise EmailTaken from error
        return changed[0] if changed else None

    async def _taken(self, keys: Sequence[str]) -> set[int]:
        rows = UserRow.filter(Among("email_key", keys, "text")).using_db(self._client)
        taken = {key for (key,) in await rows.values_list("email_key")}
        return {place for place, key in enumerate(keys) if key in taken}


def listed(client: BaseDBAsyncClient, listing: UserListing) -> QuerySet[UserRow]:
    key, descending = _SORT_KEYS[listing.sort], "-" if listing.descending else ""
    rows = UserRow.all(using_db=client).order_by(f"{descending}{key}", f"{descending}id")
    if listing.after is not None:
        rows = rows.filter(After(key, listing.after, descending=listing.descending))
    if listing.prefix is not None:
        rows = rows.filter(_starts("name_key", listing.prefix) | _starts("email_key", listing.prefix))
    return rows if listing.limit is None else rows.limit(listing.limit)


def _starts(key: str, prefix: str) -> Q:
    """As a range of the keys, which the index can walk."""
    end = prefix_end(prefix)
    low = Q(**{f"{key}__gte": prefix})
    return low if end is None else low & Q(**{f"{key}__lt": end})
