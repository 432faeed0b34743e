"""What the operations send: parts of queries, and transactions."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from contextvars import Context
from itertools import count
from typing import Any, TypeAlias, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorClientSession, AsyncIOMotorDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from motor_service.models import Row
from shared.errors import Unavailable
from shared.rules.filters import Condition, Scalar
from shared.trips import current_trips

Client: TypeAlias = AsyncIOMotorClient[Row]
Database: TypeAlias = AsyncIOMotorDatabase[Row]
Session: TypeAlias = AsyncIOMotorClientSession
Result = TypeVar("Result")

_FIRST_PAUSE = 0.002
_LONGEST_PAUSE = 0.05
_ORDERS = {"lt": "$lt", "le": "$lte", "gt": "$gt", "ge": "$gte"}


class Connection:
    """What the operations need of the client. The driver takes a pooled connection for each command; how many
    requests may send commands at once is the gate's business.

    `patience` is how many seconds a transaction is tried again while others stand in its way.
    """

    def __init__(self, database: Database, patience: float) -> None:
        self.users = database["users"]
        self.documents = database["documents"]
        # one point in time for all collections that a query reads
        self.documents_at_once = self.documents.with_options(read_concern=ReadConcern("snapshot"))
        self._client = database.client
        self._patience = patience
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def transaction(self, rows: Iterable[UUID], work: Callable[[Session], Awaitable[Result]]) -> Result:
        """Commits what `work` did with the session, or nothing if it raises. `work` runs again, from the
        start, where a transaction that was there first made it fail.

        Transactions of this process that want one of the same `rows` take turns: the server would let one of
        them through and make all others start over, again and again.
        """
        async with AsyncExitStack() as turns:
            try:
                async with asyncio.timeout(self._patience):
                    for row_id in sorted(set(rows)):
                        lock = self._locks.setdefault(row_id, asyncio.Lock())
                        await turns.enter_async_context(lock)
            except TimeoutError as error:
                raise Unavailable from error
            return await self._try(work)

    async def _try(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        patient_until = time.monotonic() + self._patience
        async with await self._client.start_session(causal_consistency=False) as session:
            for attempt in count():
                session.start_transaction()
                try:
                    result = await work(session)
                    await _apart(session.commit_transaction)
                    return result
                except BaseException as error:
                    if session.delegate.in_transaction:
                        await _apart(session.abort_transaction)
                    if not _is_transient(error) or time.monotonic() > patient_until:
                        raise
                await asyncio.sleep(random.uniform(0, min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)))
        raise AssertionError


def _apart(end: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
    """Under the client's time-out instead of the request's, which may be over: a transaction that is neither
    committed nor aborted holds its rows for a minute."""
    context = Context()
    trips = current_trips.get(None)
    if trips is not None:
        context.run(current_trips.set, trips)
    return context.run(end)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label("TransientTransactionError")


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
