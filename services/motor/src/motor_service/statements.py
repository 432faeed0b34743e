"""What the operations send: parts of queries, and transactions."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from contextlib import AsyncExitStack
from contextvars import Context
from copy import copy
from datetime import datetime
from itertools import count
from typing import Any, Self, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError, WriteConcernError
from pymongo.read_concern import ReadConcern

from motor_service.models import Row
from shared.errors import Unavailable
from shared.finishing import finished
from shared.rules.filters import Condition, Scalar
from shared.rules.text_keys import prefix_end
from shared.schemas.documents import DocumentListing
from shared.schemas.pages import Newest
from shared.schemas.rooms import inbox
from shared.schemas.users import UserListing
from shared.trips import current_trips

Client: TypeAlias = AsyncIOMotorClient[Row]
Database: TypeAlias = AsyncIOMotorDatabase[Row]
Session: TypeAlias = AsyncIOMotorClientSession
Result = TypeVar("Result")
Collection: TypeAlias = AsyncIOMotorCollection[Row]
Locks: TypeAlias = WeakValueDictionary[Hashable, asyncio.Lock]

CACHE_IS_FULL = 388
"""The server calls a transaction too large, which it is for the room that others have left at the moment."""

_FORGOTTEN_AT_ONCE = 5_000
_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05
_ORDERS = {"lt": "$lt", "le": "$lte", "gt": "$gt", "ge": "$gte"}
# e-mail keys are unique: an id after them would only keep their index from sorting
_USER_KEYS = {"created_at": ("created_at", "_id"), "name": ("name_key", "_id"), "email": ("email_key",)}
_DOCUMENT_KEYS = {
    "created_at": ("created_at", "_id"),
    "updated_at": ("updated_at", "_id"),
    "title": ("title_key", "_id"),
}
NEWEST = [("created_at", -1), ("_id", -1)]


class Connection:
    """What the operations need of the client. The driver takes a pooled connection for each command; how many
    requests may send commands at once is the gate's business.

    `patience` is how many seconds a transaction is tried again while others stand in its way. `session` is
    that of the transaction or of the snapshot to which every command belongs, if any.
    """

    def __init__(self, database: Database, patience: float, session: Session | None = None) -> None:
        self.users = database["users"]
        self.documents = database["documents"]
        # one point in time for all collections that a query reads
        self.documents_at_once = self.documents.with_options(read_concern=ReadConcern("snapshot"))
        self.attachments = database["attachments"]
        self.activity = database["activity"]
        self.notifications = database["notifications"]
        self.idempotency_keys = database["idempotency_keys"]
        self.idempotency_parts = database["idempotency_parts"]
        self.clients = database["clients"]
        self.rooms = database["rooms"]
        self.room_posts = database["room_posts"]
        self.session = session
        self._client = database.client
        self._patience = patience
        self._locks: Locks = WeakValueDictionary()
        self._turns: _Turns | None = None

    async def transaction(
        self, rows: Iterable[Hashable], work: Callable[[Session], Awaitable[Result]]
    ) -> Result:
        """Commits what `work` did with the session, or nothing if it raises; inside of `joined` it is a part
        of that one. `work` runs again, from the start, where a transaction that was there first made it fail.

        Transactions of this process that want one of the same `rows` take turns: the server would let one of
        them through and make all others start over, again and again.
        """
        if self.session is not None and self._turns is not None:
            await self._turns.take(rows)
            return await work(self.session)
        async with AsyncExitStack() as stack:
            await _Turns(stack, self._locks, self._patience).take(rows)
            return await self._try(work)

    async def joined(self, row: Hashable, work: Callable[[Self], Awaitable[Result]]) -> Result:
        """A transaction for whole operations: those of the connection that `work` gets belong to it."""
        async with AsyncExitStack() as stack:
            turns = _Turns(stack, self._locks, self._patience)
            await turns.take([row])
            return await self._try(lambda session: work(self._within(session, turns)))

    def _within(self, session: Session, turns: "_Turns") -> Self:
        joined = copy(self)
        joined.session, joined._turns = session, turns
        return joined

    async def _try(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        patient_until = time.monotonic() + self._patience
        session = await self._client.start_session(causal_consistency=False)
        try:
            for attempt in count():
                is_decided = False
                # whatever the URL says of reads: a transaction has one server
                session.start_transaction(read_preference=ReadPreference.PRIMARY)
                try:
                    # a cursor that is not known yet could not be closed, and the end of a transaction could
                    # overtake its beginning, which is then open
                    result = await finished(work(session))
                    is_decided = True
                    await finished(_apart(session.commit_transaction))
                    return result
                except BaseException as error:
                    if session.delegate.in_transaction and not is_decided:
                        await finished(_apart(session.abort_transaction))
                    if not _is_transient(error) or time.monotonic() > patient_until:
                        raise
                await asyncio.sleep(random.uniform(0, min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)))
        finally:
            # where its thread is still about a commit or an abort, the driver would send another abort, from
            # the event loop; that session is the server's to forget
            if not session.delegate.in_transaction:
                session.delegate.end_session()
        raise AssertionError


class _Turns:
    """The turns of one transaction, which last as long as the stack does."""

    def __init__(self, stack: AsyncExitStack, locks: Locks, patience: float) -> None:
        self._stack = stack
        self._locks = locks
        self._patience = patience
        self._taken: set[Hashable] = set()

    async def take(self, rows: Iterable[Hashable]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                # all in one order, so that nobody waits in a circle
                for row in sorted(set(rows) - self._taken, key=repr):
                    await self._stack.enter_async_context(self._locks.setdefault(row, asyncio.Lock()))
                    self._taken.add(row)
        except TimeoutError as error:
            raise Unavailable from error


def _apart(end: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
    """Under the client's time-out instead of the request's, which may be over: a transaction that is neither
    committed nor aborted holds its rows for a minute."""
    context = Context()
    trips = current_trips.get(None)
    if trips is not None:
        context.run(current_trips.set, trips)
    return context.run(end)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and (
        error.has_error_label("TransientTransactionError") or code_of(error) == CACHE_IS_FULL
    )


def code_of(error: PyMongoError) -> int | None:
    """Of many writes in one command the last one's that failed: the others stand before it."""
    if isinstance(error, BulkWriteError):
        failed = error.details["writeErrors"] or error.details["writeConcernErrors"]
        return failed[-1]["code"] if failed else error.code
    return error.code if isinstance(error, OperationFailure) else None


def is_unconfirmed(error: PyMongoError) -> bool:
    """Whether what was written holds, but not by the write concern."""
    if isinstance(error, BulkWriteError):
        return not error.details["writeErrors"]
    return isinstance(error, WriteConcernError)


async def forget_old(collection: Collection, field: str, before: datetime) -> bool:
    """Removes some thousand older rows, and answers whether there may be more."""
    is_old = {field: {"$lt": before}}
    rows = collection.find(is_old, {"_id": 1}, limit=_FORGOTTEN_AT_ONCE, batch_size=_FORGOTTEN_AT_ONCE)
    ids = [row["_id"] for row in await rows.to_list(None)]
    # one that was taken anew in between is not old any more
    await collection.delete_many({"_id": {"$in": ids}, **is_old})
    return len(ids) == _FORGOTTEN_AT_ONCE


async def forget_rooms(conn: Connection, before: datetime, beyond: str) -> str | None:
    """Removes some thousand rooms without a later post, those apart that a client is in or that are a
    client's inbox, and answers the name beyond which the next ones are, if there may be any."""
    is_old = {"posted_at": {"$lt": before}}
    rows = conn.rooms.find(
        {"_id": {"$gt": beyond}, **is_old},
        {"_id": 1},
        sort=[("_id", 1)],
        limit=_FORGOTTEN_AT_ONCE,
        batch_size=_FORGOTTEN_AT_ONCE,
    )
    names = [row["_id"] for row in await rows.to_list(None)]
    kept = set(await conn.clients.distinct("rooms")) | set(map(inbox, await conn.clients.distinct("_id")))
    await conn.rooms.delete_many({"_id": {"$in": [name for name in names if name not in kept]}, **is_old})
    return names[-1] if len(names) == _FORGOTTEN_AT_ONCE else None


def in_order(keys: Sequence[str], *, descending: bool) -> list[tuple[str, int]]:
    return [(key, -1 if descending else 1) for key in keys]


def beyond(keys: Sequence[str], place: Sequence[Any], *, descending: bool) -> list[Row]:
    """The rows after a place in the order of the keys, as alternatives of which each is a range of an index:
    further in the first key, or equal in it and further in the next."""
    further = "$lt" if descending else "$gt"
    return [
        {**dict(zip(keys[:depth], place[:depth], strict=True)), key: {further: place[depth]}}
        for depth, key in enumerate(keys)
    ]


def any_of_all(filters: Row, alternatives: Sequence[Row]) -> Row:
    """The filters with any of the alternatives: they stand in each, where the planner finds the index of
    both."""
    return {"$or": [{**filters, **alternative} for alternative in alternatives]}


def user_order(listing: UserListing) -> list[tuple[str, int]]:
    return in_order(_USER_KEYS[listing.sort], descending=listing.descending)


def users_of(listing: UserListing) -> Row:
    """The filter of a listing."""
    clauses = [] if listing.prefix is None else [_prefix(listing.prefix)]
    if listing.after is not None:
        keys = _USER_KEYS[listing.sort]
        clauses.append(any_of_all({}, beyond(keys, listing.after, descending=listing.descending)))
    return {"$and": clauses} if clauses else {}


def _prefix(prefix: str) -> Row:
    """As ranges of the keys, which the indexes can walk."""
    end = prefix_end(prefix)
    within = {"$gte": prefix} if end is None else {"$gte": prefix, "$lt": end}
    return {"$or": [{"name_key": within}, {"email_key": within}]}


def document_order(listing: DocumentListing) -> list[tuple[str, int]]:
    return in_order(_DOCUMENT_KEYS[listing.sort], descending=listing.descending)


def documents_of(listing: DocumentListing) -> Row:
    """The filter of a listing."""
    filters: Row = {}
    if listing.owner_id is not None:
        filters["owner_id"] = listing.owner_id
    if listing.tags:
        filters["tags"] = {"$all": listing.tags}
    if listing.words:
        filters["title_words"] = {"$all": listing.words}
    if listing.where:
        filters["$expr"] = {"$and": [condition(asked) for asked in listing.where]}
    if listing.after is None:
        return filters
    places = beyond(_DOCUMENT_KEYS[listing.sort], listing.after, descending=listing.descending)
    return any_of_all(filters, places)


def newest_of(of: str, listing: Newest) -> Row:
    """The filter of a listing of what belongs to something; `of` is the field that names it."""
    belonging: Row = {of: listing.of}
    if listing.after is None:
        return belonging
    return any_of_all(belonging, beyond(("created_at", "_id"), listing.after, descending=True))


def condition(asked: Condition) -> Row:
    """As an aggregation expression: in a plain filter a path leads into arrays too."""
    member = _member(asked.path)
    match asked.operator, asked.value:
        case "exists", found:
            return {("$ne" if found else "$eq"): [{"$type": member}, "missing"]}
        case "eq", value:
            return {"$eq": [member, {"$literal": value}]}
        case "ne", value:
            return {"$ne": [member, {"$literal": value}]}
        case order, value:
            return _ordered(member, _ORDERS[order], value)


def _ordered(member: Any, order: str, value: Scalar) -> Row:
    is_comparable = (
        {"$eq": [{"$type": "$$member"}, "string"]} if isinstance(value, str) else {"$isNumber": "$$member"}
    )
    compared = {order: ["$$member", {"$literal": value}]}
    return {"$let": {"vars": {"member": member}, "in": {"$and": [is_comparable, compared]}}}


def _member(path: Sequence[str]) -> Any:
    """The value at the path through objects alone, missing where any of them is missing or something else."""
    found: Any = "$content"
    for name in path:
        in_object = {"$getField": {"field": {"$literal": name}, "input": "$$outer"}}
        is_object = {"$eq": [{"$type": "$$outer"}, "object"]}
        found = {"$let": {"vars": {"outer": found}, "in": {"$cond": [is_object, in_object, "$$REMOVE"]}}}
    return found
