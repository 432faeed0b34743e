"""What query sets do not say by themselves: criteria, RETURNING, sets of rows, what is forgotten in sets."""

import operator
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from enum import Enum
from typing import Any, TypeVar, cast

import orjson
from pypika_tortoise.dialects import PostgreSQLQuery, PostgreSQLQueryBuilder
from pypika_tortoise.enums import JSONOperators
from pypika_tortoise.functions import Cast
from pypika_tortoise.queries import Table
from pypika_tortoise.terms import Array, BasicCriterion, Criterion, Function, Term, Tuple, ValueWrapper
from tortoise import Model
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.backends.base.client import BaseDBAsyncClient

# a context's own `with` keeps one token for all tasks, and here many requests are inside at once
from tortoise.context import TortoiseContext, _current_context
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q, ResolveContext
from tortoise.query_utils import QueryModifier
from tortoise.queryset import QuerySet

from shared.errors import Refused
from shared.rules.etags import Versions
from shared.rules.filters import Condition
from shared.schemas.pages import Newest

Row = TypeVar("Row", bound=Model)

_ORDERS: dict[str, Callable[[Term, Term], Criterion]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


FORGOTTEN = "forgotten"
"""The type of the log's first entry where there were others before it."""
AT_ONCE = 5_000
"""Rows that one statement removes at most."""
# The log goes from its start in order, and the last entry that goes stays to say so: whoever reads on from
# before it meets it, and knows that entries are missing.
_FORGET_EVENTS = f"""
    WITH oldest AS (SELECT xid, seq, at FROM events ORDER BY xid, seq LIMIT {AT_ONCE}), judged AS (
        SELECT xid, seq, bool_and(at < $1 AND xid < pg_snapshot_xmin(pg_current_snapshot()))
            OVER (ORDER BY xid, seq) AS is_over
        FROM oldest
    ), over AS (SELECT xid, seq FROM judged WHERE is_over), mark AS (
        SELECT seq FROM over ORDER BY xid DESC, seq DESC LIMIT 1
    ), gone AS (
        DELETE FROM events USING over
        WHERE events.seq = over.seq AND over.seq <> (SELECT seq FROM mark)
    ), marked AS (
        UPDATE events SET type = '{FORGOTTEN}' FROM mark
        WHERE events.seq = mark.seq AND events.type <> '{FORGOTTEN}'
    )
    SELECT count(*) FROM over
"""
# what another sweeper is just removing, or a request is just taking anew, is passed over
_FORGET = f"""
    WITH old AS (
        SELECT ctid FROM {{table}} WHERE {{is_old}} LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {{table}} WHERE ctid = ANY (ARRAY(SELECT ctid FROM old)) RETURNING true
    )
    SELECT count(*) FROM gone
"""
# a room counts on for as long as somebody is in it
_LEFT = """
    posted_at < $1 AND name NOT IN (SELECT unnest(rooms) FROM clients UNION ALL SELECT '@' || id FROM clients)
"""
FORGET = (
    _FORGET_EVENTS,
    _FORGET.format(table="idempotency_keys", is_old="created_at < $1"),
    _FORGET.format(table="room_posts", is_old="at < $1"),
    _FORGET.format(table="rooms", is_old=_LEFT),
)
"""Each takes a time, removes `AT_ONCE` older rows at most, and answers how many it found."""


class Comparison(Enum):
    DISTINCT = " IS DISTINCT FROM "


class ByCodePoint(Function):
    """Its argument as text that compares by code point."""

    def __init__(self, text: Term) -> None:
        super().__init__("", text)

    def get_function_sql(self, ctx: Any) -> str:
        return f'{super().get_function_sql(ctx)} COLLATE "C"'


class Where(Q, ABC):
    """A filter for which there is no lookup."""

    def resolve(self, resolve_context: ResolveContext) -> QueryModifier:
        return QueryModifier(where_criterion=self.criterion(resolve_context.table))

    @abstractmethod
    def criterion(self, table: Table) -> Criterion: ...


class Among(Where):
    """The column has one of the values, however many: they are one argument of one same statement."""

    def __init__(self, column: str, values: Sequence[Any], of: str) -> None:
        super().__init__()
        self._column = column
        self._values = Cast(Array(*values), f"{of}[]")

    def criterion(self, table: Table) -> Criterion:
        return table[self._column].eq(Function("ANY", self._values))


class After(Where):
    """Rows beyond a place (sort key, id) in the order of both, as one comparison that an index can walk."""

    def __init__(self, key: str, place: tuple[Any, Any], *, descending: bool) -> None:
        super().__init__()
        self._key = key
        self._place = Tuple(*place)
        self._beyond = _ORDERS["lt" if descending else "gt"]

    def criterion(self, table: Table) -> Criterion:
        return self._beyond(Tuple(table[self._key], table["id"]), self._place)


class Holds(Where):
    """A condition on the content. An arrow with a text leads into objects only; a missing member is NULL, a
    JSON null is not."""

    def __init__(self, condition: Condition) -> None:
        super().__init__()
        self._condition = condition

    def criterion(self, table: Table) -> Criterion:
        *path, last = (Cast(ValueWrapper(name), "text") for name in self._condition.path)
        parent: Term = table["content"]
        for name in path:
            parent = BasicCriterion(JSONOperators.GET_JSON_VALUE, parent, name)
        member = BasicCriterion(JSONOperators.GET_JSON_VALUE, parent, last)
        match self._condition.operator, self._condition.value:
            case "exists", found:
                return member.notnull() if found else member.isnull()
            case "eq", value:
                return member.eq(_jsonb(value))
            case "ne", value:
                return BasicCriterion(Comparison.DISTINCT, member, _jsonb(value))
            case order, str() as text:
                shown = ByCodePoint(BasicCriterion(JSONOperators.GET_TEXT_VALUE, parent, last))
                return _is(member, "string") & _ORDERS[order](shown, Cast(ValueWrapper(text), "text"))
            case order, number:
                return _is(member, "number") & _ORDERS[order](member, _jsonb(number))


@contextmanager
def current(context: TortoiseContext) -> Iterator[None]:
    """Query sets ask for a context even where they are given a client. Never around a `yield` of a generator,
    which may be closed by another task than the one that started it."""
    token = _current_context.set(context)
    try:
        yield
    finally:
        _current_context.reset(token)


@asynccontextmanager
async def savepoint(client: BaseDBAsyncClient) -> AsyncIterator[None]:
    """Where a statement may be refused and another one is to follow it: in a transaction, a savepoint;
    outside of one nothing, and no round trip. Any other error ends the transaction, and waits for nothing
    here."""
    if not isinstance(client, TransactionWrapper):
        yield
        return
    point = TransactionWrapper(client)
    await point.savepoint()
    try:
        yield
    except (IntegrityError, Refused):
        await point.savepoint_rollback()
        raise
    await point.release_savepoint()


async def update_returning(client: BaseDBAsyncClient, rows: QuerySet[Row], **values: Any) -> list[Row]:
    """`rows.update(…)`, which here answers the changed rows as they now are, in the same round trip."""
    update = rows.using_db(client).update(**values)
    update._make_query()
    query = cast(PostgreSQLQueryBuilder, update.query).returning(*rows.model._meta.db_fields)
    changed = await client.execute_query_dict(*query.get_parameterized_sql())
    return [rows.model._init_from_db(**row) for row in changed]


def with_versions(rows: QuerySet[Row], expected: Versions) -> QuerySet[Row]:
    return rows if expected is None else rows.filter(Among("version", sorted(expected), "integer"))


def upsert(model: type[Model], **values: Any) -> PostgreSQLQueryBuilder:
    """Stores a row; where one has its key, which is the first of the values, that one takes the others."""
    key, *others = values
    statement = PostgreSQLQuery.into(model.get_table()).columns(*values).insert(*values.values())
    statement = statement.on_conflict(key)
    for name in others:
        statement = statement.do_update(name)
    return cast(PostgreSQLQueryBuilder, statement)


def newest(rows: QuerySet[Row], listing: Newest) -> QuerySet[Row]:
    """The stretch of rows that belong to one, newest first."""
    if listing.after is not None:
        rows = rows.filter(After("created_at", listing.after, descending=True))
    return rows.order_by("-created_at", "-id").limit(listing.limit)


async def insert_many(client: BaseDBAsyncClient, model: type[Model], rows: bytes) -> None:
    """Stores a JSON array of rows in one statement, each member read as its column's type. `bulk_create`
    sends a statement for each row, and a transaction around them."""
    table, columns = model._meta.db_table, ", ".join(model._meta.fields_db_projection.values())
    statement = (
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{table}, $1)"
    )
    await client.execute_query(statement, [rows.decode()])


def _jsonb(value: Any) -> Term:
    return Cast(ValueWrapper(orjson.dumps(value).decode()), "jsonb")


def _is(member: Term, kind: str) -> Criterion:
    return Function("jsonb_typeof", member).eq(ValueWrapper(kind, allow_parametrize=False))
