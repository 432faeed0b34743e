"""Users on asyncpg."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import UniqueViolationError

from asyncpg_service.models import USER, Connection, to_user
from asyncpg_service.statements import Arguments, accepted, savepoint, users_page
from shared import ports
from shared.errors import EmailTaken, NotFound, PreconditionFailed
from shared.rules.batches import repeats
from shared.rules.etags import Versions
from shared.schemas.users import User, UserChange, UserListing, UserRecord

_INSERT = """
    INSERT INTO users (id, email, email_key, name, name_key, version, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
"""
# in the order of the keys: two batches with the same e-mails then wait for each other, and never in a circle
_INSERT_MANY = """
    INSERT INTO users (id, email, email_key, name, name_key, version, created_at, updated_at)
    SELECT id, email, email_key, name, name_key, 1, $6, $6
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
        AS new (id, email, email_key, name, name_key)
    ORDER BY email_key
"""
_TAKEN = "SELECT email_key FROM users WHERE email_key = ANY ($1)"
_SELECT = f"SELECT {USER} FROM users WHERE id = $1"
# nothing is written where nothing differs: the version, and with it every ETag, stays
_UPDATE = f"""
    UPDATE users
    SET email = coalesce($3, email), email_key = coalesce($4, email_key),
        name = coalesce($5, name), name_key = coalesce($6, name_key),
        version = version + 1, updated_at = $7
    WHERE id = $1 AND ($2::integer[] IS NULL OR version = ANY ($2))
        AND (email, name) IS DISTINCT FROM (coalesce($3, email), coalesce($5, name))
    RETURNING {USER}
"""
# what is the user's goes along, by its foreign keys
_DELETE = "DELETE FROM users WHERE id = $1 AND ($2::integer[] IS NULL OR version = ANY ($2)) RETURNING id"


class Users(ports.users.Users):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def create(self, user: UserRecord) -> None:
        try:
            await self._conn.execute(
                _INSERT, user.id, user.email, user.email_key, user.name, user.name_key, user.created_at
            )
        except UniqueViolationError as error:
            raise EmailTaken from error

    async def create_many(self, users: Sequence[UserRecord]) -> None:
        keys = [user.email_key for user in users]
        repeated = repeats(keys)
        if repeated:
            raise EmailTaken(sorted(repeated | await self._taken(keys)))
        try:
            async with savepoint(self._conn):
                await self._conn.execute(
                    _INSERT_MANY,
                    [user.id for user in users],
                    [user.email for user in users],
                    keys,
                    [user.name for user in users],
                    [user.name_key for user in users],
                    users[0].created_at,
                )
        except UniqueViolationError as error:
            raise EmailTaken(sorted(await self._taken(keys))) from error

    async def get(self, user_id: UUID) -> User:
        row = await self._conn.fetchrow(_SELECT, user_id)
        if row is None:
            raise NotFound
        return to_user(row)

    async def list(self, listing: UserListing) -> Sequence[User]:
        arguments = Arguments()
        statement = f"SELECT {USER} FROM users {users_page(listing, arguments)}"
        return [to_user(row) for row in await self._conn.fetch(statement, *arguments)]

    async def update(self, user_id: UUID, change: UserChange, expected: Versions) -> User:
        while True:
            try:
                row = await self._conn.fetchrow(
                    _UPDATE,
                    user_id,
                    accepted(expected),
                    change.email,
                    change.email_key,
                    change.name,
                    change.name_key,
                    change.updated_at,
                )
            except UniqueViolationError as error:
                raise EmailTaken from error
            if row is not None:
                return to_user(row)
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, user_id: UUID, expected: Versions) -> None:
        while await self._conn.fetchval(_DELETE, user_id, accepted(expected)) is None:
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed

    async def _taken(self, keys: Sequence[str]) -> set[int]:
        taken = {row["email_key"] for row in await self._conn.fetch(_TAKEN, keys)}
        return {place for place, key in enumerate(keys) if key in taken}
