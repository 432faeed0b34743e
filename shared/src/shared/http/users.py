"""The routes of users, in contract order."""

import asyncio
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import orjson
from fastapi import Body, Query
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.http.answers import Answers
from shared.http.call import Answer, Call
from shared.http.conditional import created, expected_versions, required_versions, resource
from shared.http.documents import DocumentQuery, OwnedDocumentQuery, answer_documents
from shared.http.idempotency import once
from shared.http.pages import page, place_after
from shared.http.queries import Cursor, Limit
from shared.http.routing import Routes
from shared.ports.backend import UnitOfWork
from shared.rules import clock, limits, text_keys
from shared.schemas.activity import Activity
from shared.schemas.dashboard import UserSummary
from shared.schemas.documents import Document, OwnedDocument
from shared.schemas.pages import Batch, Newest, Page
from shared.schemas.texts import Text
from shared.schemas.users import NewUser, User, UserListing, UserPatch, UserSort, user_change, user_record

router = Routes("users")

_USER = TypeAdapter(User)
_PAGE = TypeAdapter(Page[User])
_BATCH = TypeAdapter(Batch[User])
_SUMMARY = TypeAdapter(UserSummary)

NewUsers = Annotated[list[NewUser], Field(min_length=1, max_length=limits.BATCH_MAX)]


class UserFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    q: Text = ""


class UserQuery(UserFilter):
    sort: Literal["created_at", "-created_at", "name", "-name", "email", "-email"] = "created_at"
    limit: Limit = limits.PAGE_DEFAULT
    cursor: Cursor | None = None


@router.post("/users", Answers(201, User, ("email-taken",), tagged=True, keyed=True))
async def create_user(call: Call, body: Annotated[NewUser, Body()]) -> Answer:
    """USR-1"""
    user = user_record(body, clock.now())

    async def create(work: UnitOfWork) -> Answer:
        await work.users.create(user)
        return created(call, f"/users/{user.id}", user.version, _USER.dump_json(user))

    return await once(call, create)


@router.post("/users/batch", Answers(201, Batch[User], ("email-taken",), keyed=True))
async def create_users(call: Call, body: Annotated[NewUsers, Body()]) -> Answer:
    """USR-6"""
    moment = clock.now()
    users = [user_record(new, moment) for new in body]

    async def create(work: UnitOfWork) -> Answer:
        await work.users.create_many(users)
        return Answer(201, _BATCH.dump_json(Batch(users)))

    return await once(call, create)


@router.get("/users", Answers(200, Page[User]))
async def list_users(call: Call, query: Annotated[UserQuery, Query()]) -> Answer:
    """USR-7"""
    prefix = text_keys.key(query.q) or None
    fingerprint = orjson.dumps(["users", query.sort, prefix])
    sort = cast(UserSort, query.sort.removeprefix("-"))
    listing = UserListing(
        sort=sort,
        descending=query.sort.startswith("-"),
        after=place_after(call, query.cursor, fingerprint),
        prefix=prefix,
        limit=query.limit + 1,
    )
    async with call.backend.reader() as reader:
        users = await reader.users.list(listing)
    found = page(call, users, query.limit, fingerprint, lambda user: (_sort_key(user, sort), user.id))
    return Answer(200, _PAGE.dump_json(found))


@router.get("/users/{user_id}", Answers(200, User, ("not-found",), tagged=True))
async def get_user(call: Call, user_id: UUID) -> Answer:
    """USR-3"""
    async with call.backend.reader() as reader:
        user = await reader.users.get(user_id)
    return resource(call, user.version, _USER.dump_json(user))


@router.patch(
    "/users/{user_id}", Answers(200, User, ("not-found", "email-taken"), tagged=True, conditional=True)
)
async def update_user(call: Call, user_id: UUID, body: Annotated[UserPatch, Body()]) -> Answer:
    """USR-4"""
    async with call.backend.unit_of_work() as work:
        expected = await required_versions(call, lambda: work.users.get(user_id))
        user = await work.users.update(user_id, user_change(body, clock.now()), expected)
    return resource(call, user.version, _USER.dump_json(user))


@router.delete("/users/{user_id}", Answers(204, None, ("not-found", "precondition-failed")))
async def delete_user(call: Call, user_id: UUID) -> Answer:
    """USR-5"""
    async with call.backend.unit_of_work() as work:
        await work.users.delete(user_id, expected_versions(call))
    return Answer(204, headers=())


@router.get("/users/{user_id}/summary", Answers(200, UserSummary, ("not-found",)))
async def get_summary(call: Call, user_id: UUID) -> Answer:
    """USR-8: four queries side by side, each on a connection of its own."""
    async with asyncio.TaskGroup() as queries:
        user = queries.create_task(_user(call, user_id))
        count = queries.create_task(_count(call, user_id))
        documents = queries.create_task(_latest(call, user_id))
        activity = queries.create_task(_activity(call, user_id))
    summary = UserSummary(user.result(), count.result(), documents.result(), activity.result())
    return Answer(200, _SUMMARY.dump_json(summary))


@router.get("/users/{user_id}/documents", Answers(200, Page[Document] | Page[OwnedDocument], ("not-found",)))
async def list_user_documents(
    call: Call, user_id: UUID, query: Annotated[OwnedDocumentQuery, Query()]
) -> Answer:
    """USR-9"""
    owned = DocumentQuery.model_construct(**dict(query), owner_id=user_id)
    answer, is_empty = await answer_documents(call, owned)
    if is_empty:
        await _user(call, user_id)
    return answer


def _sort_key(user: User, sort: UserSort) -> Any:
    return user.created_at if sort == "created_at" else text_keys.key(getattr(user, sort))


async def _user(call: Call, user_id: UUID) -> User:
    async with call.backend.reader() as reader:
        return await reader.users.get(user_id)


async def _count(call: Call, user_id: UUID) -> int:
    async with call.backend.reader() as reader:
        return await reader.documents.count(user_id)


async def _latest(call: Call, user_id: UUID) -> list[Document]:
    async with call.backend.reader() as reader:
        return list(await reader.documents.latest(user_id, limits.LATEST_DOCUMENTS))


async def _activity(call: Call, user_id: UUID) -> list[Activity]:
    async with call.backend.reader() as reader:
        return list(await reader.activity.list(Newest(user_id, None, limits.LATEST_ACTIVITY)))
