"""Users on SQLAlchemy."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import UniqueViolationError
from sqlalchemy import (
    Integer,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.errors import EmailTaken, NotFound, PreconditionFailed
from shared.rules.batches import repeats
from shared.rules.etags import Versions
from shared.schemas.users import User, UserChange, UserListing, UserRecord
from sqlalchemy_service.models import USER, USER_COLUMNS, USERS, UserRow
from sqlalchemy_service.statements import accepted, attempt, users_page

_INSERT = insert(USERS)
_NEW = (
    func.unnest(
        bindparam("ids", type_=ARRAY(Uuid)),
        bindparam("emails", type_=ARRAY(Text)),
        bindparam("email_keys", type_=ARRAY(Text)),
        bindparam("names", type_=ARRAY(Text)),
        bindparam("name_keys", type_=ARRAY(Text)),
    )
    .table_valued("id", "email", "email_key", "name", "name_key")
    .render_derived(name="new")
)
_MOMENT = bindparam("moment", type_=USERS.c.created_at.type)
# in the order of the keys: two batches with the same e-mails then wait for each other, and never in a circle
_INSERT_MANY = insert(USERS).from_select(
    ["id", "email", "email_key", "name", "name_key", "version", "created_at", "updated_at"],
    select(*_NEW.c, literal(1, Integer), _MOMENT, _MOMENT).select_from(_NEW).order_by(_NEW.c.email_key),
)
_TAKEN = select(UserRow.email_key).where(UserRow.email_key == any_(bindparam("keys", type_=ARRAY(Text))))
_SELECT = select(USER).where(UserRow.id == bindparam("user_id"))

_EXPECTED = bindparam("expected", type_=ARRAY(Integer))
_AT_EXPECTED = (
    USERS.c.id == bindparam("user_id"),
    or_(_EXPECTED.is_(None), USERS.c.version == any_(_EXPECTED)),
)
_EMAIL = func.coalesce(bindparam("new_email", type_=Text), USERS.c.email)
_NAME = func.coalesce(bindparam("new_name", type_=Text), USERS.c.name)
# nothing is written where nothing differs: the version, and with it every ETag, stays
_UPDATE = (
    update(USERS)
    .where(*_AT_EXPECTED, tuple_(USERS.c.email, USERS.c.name).is_distinct_from(tuple_(_EMAIL, _NAME)))
    .values(
        email=_EMAIL,
        email_key=func.coalesce(bindparam("new_email_key", type_=Text), USERS.c.email_key),
        name=_NAME,
        name_key=func.coalesce(bindparam("new_name_key", type_=Text), USERS.c.name_key),
        version=USERS.c.version + 1,
        updated_at=_MOMENT,
    )
    .returning(*USER_COLUMNS)
)
# the user's documents go along, by their foreign key
_DELETE = delete(USERS).where(*_AT_EXPECTED).returning(USERS.c.id)


class Users(ports.users.Users):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(self, user: UserRecord) -> None:
        try:
            await self._session.execute(
                _INSERT,
                {
                    "id": user.id,
                    "email": user.email,
                    "email_key": user.email_key,
                    "name": user.name,
                    "name_key": user.name_key,
                    "version": 1,
                    "created_at": user.created_at,
                    "updated_at": user.created_at,
                },
            )
        except IntegrityError as error:
            if isinstance(error.driver_exception, UniqueViolationError):
                raise EmailTaken from error
            raise

    async def create_many(self, users: Sequence[UserRecord]) -> None:
        keys = [user.email_key for user in users]
        repeated = repeats(keys)
        if repeated:
            raise EmailTaken(sorted(repeated | await self._taken(keys)))
        try:
            async with attempt(self._session):
                await self._session.execute(
                    _INSERT_MANY,
                    {
                        "ids": [user.id for user in users],
                        "emails": [user.email for user in users],
                        "email_keys": keys,
                        "names": [user.name for user in users],
                        "name_keys": [user.name_key for user in users],
                        "moment": users[0].created_at,
                    },
                )
        except IntegrityError as error:
            if isinstance(error.driver_exception, UniqueViolationError):
                raise EmailTaken(sorted(await self._taken(keys))) from error
            raise

    async def get(self, user_id: UUID) -> User:
        user = await self._session.scalar(_SELECT, {"user_id": user_id})
        if user is None:
            raise NotFound
        return user

    async def list(self, listing: UserListing) -> Sequence[User]:
        return (await self._session.scalars(users_page(listing))).all()

    async def update(self, user_id: UUID, change: UserChange, expected: Versions) -> User:
        arguments = {
            "user_id": user_id,
            "expected": accepted(expected),
            "new_email": change.email,
            "new_email_key": change.email_key,
            "new_name": change.name,
            "new_name_key": change.name_key,
            "moment": change.updated_at,
        }
        while True:
            try:
                row = (await self._session.execute(_UPDATE, arguments)).one_or_none()
            except IntegrityError as error:
                if isinstance(error.driver_exception, UniqueViolationError):
                    raise EmailTaken from error
                raise
            if row is not None:
                return User(*row)
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed
            if not change.differs(stored):
                return stored

    async def delete(self, user_id: UUID, expected: Versions) -> None:
        arguments = {"user_id": user_id, "expected": accepted(expected)}
        while await self._session.scalar(_DELETE, arguments) is None:
            stored = await self.get(user_id)
            if expected is not None and stored.version not in expected:
                raise PreconditionFailed

    async def _taken(self, keys: Sequence[str]) -> set[int]:
        taken = set(await self._session.scalars(_TAKEN, {"keys": keys}))
        return {place for place, key in enumerate(keys) if key in taken}
