"""What query sets do not say by themselves, in pypika's terms: criteria, RETURNING, sets of rows."""

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, TypeVar, cast

import orjson
from pypika_tortoise.dialects import PostgreSQLQueryBuilder
from pypika_tortoise.enums import JSONOperators
from pypika_tortoise.functions import Cast
from pypika_tortoise.queries import Table
from pypika_tortoise.terms import Array, BasicCriterion, Criterion, Function, Term, Tuple, ValueWrapper
from tortoise import Model
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.expressions import Q, ResolveContext
from tortoise.query_utils import QueryModifier
from tortoise.queryset import QuerySet

from shared.rules.etags import Versions
from shared.rules.filters import Condition

Row = TypeVar("Row", bound=Model)

_ORDERS: dict[str, Callable[[Term, Term], Criterion]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


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


async def update_returning(client: BaseDBAsyncClient, rows: QuerySet[Row], **values: Any) -> list[Row]:
    """`rows.update(…)`, which here answers the changed rows as they now are, in the same round trip."""
    update = rows.using_db(client).update(**values)
    update._make_query()
    query = cast(PostgreSQLQueryBuilder, update.query).returning(*rows.model._meta.db_fields)
    changed = await client.execute_query_dict(*query.get_parameterized_sql())
    return [rows.model._init_from_db(**row) for row in changed]


def with_versions(rows: QuerySet[Row], expected: Versions) -> QuerySet[Row]:
    return rows if expected is None else rows.filter(Among("version", sorted(expected), "integer"))


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
