"""The dashboard (DSH-1) and the summary of a user (USR-8)."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from shared.schemas.activity import Activity
from shared.schemas.documents import Document
from shared.schemas.users import User


@dataclass(frozen=True, slots=True)
class Totals:
    """Rows of each kind; `content_bytes` sums the contents' sizes as compact UTF-8 JSON."""

    users: int
    documents: int
    content_bytes: int


@dataclass(frozen=True, slots=True)
class DayCount:
    date: date
    count: int


@dataclass(frozen=True, slots=True)
class TagCount:
    tag: str
    count: int


@dataclass(frozen=True, slots=True)
class OwnerCount:
    user_id: UUID
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    users: int
    documents: int
    documents_per_day: list[DayCount]
    top_tags: list[TagCount]
    top_owners: list[OwnerCount]
    content_bytes: int


@dataclass(frozen=True, slots=True)
class UserSummary:
    user: User
    document_count: int
    latest_documents: list[Document]
    latest_activity: list[Activity]
