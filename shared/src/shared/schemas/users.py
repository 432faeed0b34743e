"""Users: what a client sends, what it gets, and what a layer stores."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from shared.rules import emails, ids, limits, text_keys
from shared.schemas.texts import Text
from shared.schemas.times import Time

UserSort = Literal["created_at", "name", "email"]


def _email(text: str) -> str:
    if not emails.is_email(text):
        raise ValueError("is no valid e-mail address")
    return text


Email = Annotated[
    str,
    AfterValidator(_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": limits.EMAIL_MAX}),
]
Name = Annotated[Text, Field(min_length=1, max_length=limits.NAME_MAX)]


class NewUser(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    email: Email
    name: Name


class UserPatch(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    # no default that means absent is among the values: `model_fields_set` tells what was sent
    email: Email = ""
    name: Name = ""


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    email: str
    name: str
    version: int
    created_at: Time
    updated_at: Time


@dataclass(frozen=True, slots=True)
class UserRecord(User):
    """A user with the keys that are stored beside it."""

    email_key: str
    name_key: str


@dataclass(frozen=True, slots=True)
class UserChange:
    """The fields to set; those that are None stay. Each comes with its key."""

    updated_at: datetime
    email: str | None = None
    email_key: str | None = None
    name: str | None = None
    name_key: str | None = None

    def differs(self, user: User) -> bool:
        return self.email not in (None, user.email) or self.name not in (None, user.name)


@dataclass(frozen=True, slots=True)
class UserListing:
    """Rows after the place `after` (sort key, id) in the order of `sort` and then id, `limit` at most,
    whose name key or e-mail key starts with `prefix`. Without a limit: all."""

    sort: UserSort
    descending: bool
    after: tuple[Any, UUID] | None
    prefix: str | None
    limit: int | None


def user_record(new: NewUser, moment: datetime) -> UserRecord:
    return UserRecord(
        ids.new_id(),
        new.email,
        new.name,
        1,
        moment,
        moment,
        text_keys.key(new.email),
        text_keys.key(new.name),
    )


def user_change(patch: UserPatch, moment: datetime) -> UserChange:
    email = patch.email if "email" in patch.model_fields_set else None
    name = patch.name if "name" in patch.model_fields_set else None
    return UserChange(
        updated_at=moment,
        email=email,
        email_key=None if email is None else text_keys.key(email),
        name=name,
        name_key=None if name is None else text_keys.key(name),
    )
