"""Documents: what a client sends, what it gets, and what a layer stores."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from shared.rules import ids, json_content, limits, text_keys
from shared.rules.filters import Condition
from shared.rules.json_content import Content
from shared.schemas.texts import Text
from shared.schemas.times import Time
from shared.schemas.users import User

DocumentSort = Literal["created_at", "updated_at", "title"]


def _content_patch(value: Any) -> dict[str, Any]:
    # depth and size hold for the merged result: a deep patch may only remove
    normalised = json_content.normalise(value, max_depth=None)
    if not isinstance(normalised, dict):
        raise ValueError("must be an object")
    return normalised


def _distinct(tags: list[str]) -> list[str]:
    distinct = list(dict.fromkeys(tags))
    if len(distinct) > limits.TAGS_MAX:
        raise ValueError(f"must hold at most {limits.TAGS_MAX} different tags")
    return distinct


def _uuid(value: Any) -> UUID:
    parsed = ids.parse_id(value) if isinstance(value, str) else None
    if parsed is None:
        raise ValueError("must be an id of 36 lower-case characters")
    return parsed


OBJECT_SCHEMA = WithJsonSchema({"type": "object", "additionalProperties": True})

Id = Annotated[UUID, PlainValidator(_uuid), WithJsonSchema({"type": "string", "format": "uuid"})]
Title = Annotated[Text, Field(min_length=1, max_length=limits.TITLE_MAX)]
Tag = Annotated[Text, Field(min_length=1, max_length=limits.TAG_MAX)]
# the first that is none ends it: there may be millions, and each would be a finding of its own
Tags = Annotated[list[Tag], Field(fail_fast=True), AfterValidator(_distinct)]
ContentField = Annotated[Content, PlainValidator(json_content.content), OBJECT_SCHEMA]
ContentPatch = Annotated[dict[str, Any], PlainValidator(_content_patch), OBJECT_SCHEMA]


class NewDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    owner_id: Id
    title: Title
    content: ContentField = Field(default=json_content.content({}))
    tags: Tags = Field(default_factory=list)


class DocumentBody(BaseModel):
    """The whole of what PUT replaces."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: Title
    content: ContentField
    tags: Tags


class DocumentPatch(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    # no default that means absent is among the values: `model_fields_set` tells what was sent
    title: Title = ""
    content: ContentPatch = Field(default_factory=dict)
    tags: Tags = Field(default_factory=list)


class Transfer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    document_ids: Annotated[list[Id], Field(min_length=1, max_length=limits.BATCH_MAX)]
    from_owner_id: Id
    to_owner_id: Id


@dataclass(frozen=True, slots=True)
class Transferred:
    transferred: int


@dataclass(frozen=True, slots=True)
class Document:
    id: UUID
    owner_id: UUID
    title: str
    content: dict[str, Any]
    tags: list[str]
    version: int
    created_at: Time
    updated_at: Time


@dataclass(frozen=True, slots=True)
class OwnedDocument(Document):
    """A document with its owner in it."""

    owner: User


@dataclass(frozen=True, slots=True)
class DocumentRecord(Document):
    """A document with what is stored beside it: the title's key and words, the content as compact JSON,
    whose length is the content's size."""

    title_key: str
    title_words: list[str]
    content_json: bytes


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """The fields to set; those that are None stay. A title comes with its key and words, a content with its
    compact JSON."""

    updated_at: datetime
    title: str | None = None
    title_key: str | None = None
    title_words: list[str] | None = None
    content: dict[str, Any] | None = None
    content_json: bytes | None = None
    tags: list[str] | None = None

    def differs(self, document: Document) -> bool:
        """Whether any field differs by value."""
        return (
            self.title not in (None, document.title)
            or self.tags not in (None, document.tags)
            or (self.content is not None and not json_content.same(self.content, document.content))
        )


@dataclass(frozen=True, slots=True)
class DocumentListing:
    """Rows after the place `after` (sort key, id) in the order of `sort` and then id, `limit` at most, for
    which every filter holds: the owner, all tags, all conditions, all words of the title. Without a
    limit: all."""

    sort: DocumentSort
    descending: bool
    after: tuple[Any, UUID] | None
    owner_id: UUID | None
    tags: tuple[str, ...]
    where: tuple[Condition, ...]
    words: tuple[str, ...]
    limit: int | None


def document_record(new: NewDocument, moment: datetime) -> DocumentRecord:
    return DocumentRecord(
        id=ids.new_id(),
        owner_id=new.owner_id,
        title=new.title,
        content=new.content.value,
        tags=new.tags,
        version=1,
        created_at=moment,
        updated_at=moment,
        title_key=text_keys.key(new.title),
        title_words=list(text_keys.words(new.title)),
        content_json=new.content.json,
    )


def document_change(
    moment: datetime, title: str | None, content: Content | None, tags: list[str] | None
) -> DocumentChange:
    return DocumentChange(
        updated_at=moment,
        title=title,
        title_key=None if title is None else text_keys.key(title),
        title_words=None if title is None else list(text_keys.words(title)),
        content=None if content is None else content.value,
        content_json=None if content is None else content.json,
        tags=tags,
    )
