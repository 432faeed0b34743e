"""Notifications: what a client sends, what it gets, and what the worker mails."""

from dataclasses import dataclass
from typing import Annotated, Literal
from unicodedata import category
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.rules import ids, limits
from shared.schemas.texts import Text
from shared.schemas.times import Time

Status = Literal["queued", "sent", "failed"]


def _one_line(subject: str) -> str:
    if any(category(letter) == "Cc" for letter in subject):
        raise ValueError("must hold no control characters")
    return subject


Subject = Annotated[Text, Field(min_length=1, max_length=limits.SUBJECT_MAX), AfterValidator(_one_line)]
Body = Annotated[Text, Field(min_length=1, max_length=limits.MAIL_BODY_MAX)]


class NewNotification(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    subject: Subject
    body: Body


@dataclass(frozen=True, slots=True)
class Queued:
    id: UUID
    status: Status


@dataclass(frozen=True, slots=True)
class Notification:
    """`attempts` counts the tries that have ended."""

    id: UUID
    user_id: UUID
    subject: str
    body: str
    status: Status
    attempts: int
    created_at: Time
    sent_at: Time | None


@dataclass(frozen=True, slots=True)
class Mail:
    """A notification that a worker has taken, and where it goes."""

    id: UUID
    email: str
    subject: str
    body: str
    attempts: int


def notification_record(user_id: UUID, new: NewNotification, moment: Time) -> Notification:
    return Notification(ids.new_id(), user_id, new.subject, new.body, "queued", 0, moment, None)
