"""Activity: what a client sends of a user's actions, what it gets, and what a layer stores."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from shared.rules import ids, json_content, limits
from shared.rules.json_content import Content
from shared.schemas.documents import OBJECT_SCHEMA
from shared.schemas.texts import Text
from shared.schemas.times import Time


def _detail(value: Any) -> Content:
    content = json_content.content(value)
    if len(content.json) > limits.DETAIL_MAX_BYTES:
        raise ValueError(f"must have at most {limits.DETAIL_MAX_BYTES} bytes as compact JSON")
    return content


Detail = Annotated[Content, PlainValidator(_detail), OBJECT_SCHEMA]


class NewAction(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    action: Annotated[Text, Field(min_length=1, max_length=limits.ACTION_MAX)]
    detail: Detail = Field(default=json_content.content({}))


@dataclass(frozen=True, slots=True)
class Taken:
    """What will be stored, by its id."""

    id: UUID


@dataclass(frozen=True, slots=True)
class Activity:
    id: UUID
    user_id: UUID
    action: str
    detail: dict[str, Any]
    created_at: Time


@dataclass(frozen=True, slots=True)
class ActivityRecord(Activity):
    """With the detail as compact JSON."""

    detail_json: bytes


def activity_record(user_id: UUID, new: NewAction, moment: Time) -> ActivityRecord:
    return ActivityRecord(ids.new_id(), user_id, new.action, new.detail.value, moment, new.detail.json)
