"""Statements that are put together (values are always arguments), and what is forgotten in sets."""

import operator
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import reduce
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    collate,
    delete,
    false,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from shared.rules.etags import Versions
from shared.rules.filters import Condition
from shared.rules.text_keys import prefix_end
from shared.schemas.documents import DocumentListing
from shared.schemas.pages import Newest
from shared.schemas.users import User, UserListing
from sqlalchemy_service.models import (
    CLIENTS,
    EVENTS,
    KEPT_ANSWERS,
    POSTS,
    ROOMS,
    USER,
    WRITTEN,
    ActivityRow,
    AttachmentRow,
    DocumentRow,
    NotificationRow,
    Shaped,
    Shared,
    TransactionId,
    UserRow,
)

_USER_KEYS = {"created_at": UserRow.created_at, "name": UserRow.name_key, "email": UserRow.email_key}
_DOCUMENT_KEYS = {
    "created_at": DocumentRow.created_at,
    "updated_at": DocumentRow.updated_at,
    "title": DocumentRow.title_key,
}
_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}

# a limit that nobody knows before it runs: the planner then plans for the first rows, as it does for a
# declared cursor, and not for the last
_EVERYTHING = select(cast(null(), BigInteger)).scalar_subquery()

OLDEST_RUNNING = func.pg_snapshot_xmin(func.pg_current_snapshot(), type_=TransactionId())
"""The number of the oldest transaction that still runs, or else the next one's."""

FORGOTTEN = "forgotten"
"""The type of the log's first entry where there were others before it."""


def accepted(expected: Versions) -> list[int] | None:
    return None if expected is None else sorted(expected)


def attempt(session: AsyncSession) -> AbstractAsyncContextManager[Any]:
    """Where a statement may fail and another one is to follow it: in the transaction of a kept answer a
    savepoint; where each statement commits itself nothing, and no round trip."""
    return session.begin_nested() if session.in_nested_transaction() else nullcontext()


def newest(
    shape: Shaped[Shared],
    row: type[AttachmentRow | ActivityRow | NotificationRow],
    of: InstrumentedAttribute[Any],
    listing: Newest,
) -> Select[Shared]:
    """`of` is the column of what the rows belong to."""
    statement = (
        select(shape)
        .where(of == listing.of)
        .order_by(row.created_at.desc(), row.id.desc())
        .limit(listing.limit)
    )
    if listing.after is not None:
        created_at, row_id = listing.after
        after = tuple_(literal(created_at, row.created_at.type), literal(row_id, Uuid))
        statement = statement.where(tuple_(row.created_at, row.id) < after)
    return statement


def users_page(listing: UserListing) -> Select[User]:
    key = _USER_KEYS[listing.sort]
    order = tuple_(key, UserRow.id)
    statement = select(USER).limit(_limit(listing.limit))
    if listing.descending:
        statement = statement.order_by(key.desc(), UserRow.id.desc())
    else:
        statement = statement.order_by(key, UserRow.id)
    if listing.after is not None:
        place, user_id = listing.after
        after = tuple_(literal(place, key.type), literal(user_id, Uuid))
        statement = statement.where(order < after if listing.descending else order > after)
    if listing.prefix is not None:
        statement = statement.where(_prefix(listing.prefix))
    return statement


def _prefix(prefix: str) -> ColumnElement[bool]:
    """As ranges of the keys, which the indexes can walk."""
    end = prefix_end(prefix)
    keys = (UserRow.name_key, UserRow.email_key)
    if end is None:
        return or_(*(key >= prefix for key in keys))
    return or_(*(and_(key >= prefix, key < end) for key in keys))


def documents_page(statement: Select[Any], listing: DocumentListing) -> Select[Any]:
    key = _DOCUMENT_KEYS[listing.sort]
    order = tuple_(key, DocumentRow.id)
    if listing.owner_id is not None:
        statement = statement.where(DocumentRow.owner_id == listing.owner_id)
    if listing.tags:
        statement = statement.where(DocumentRow.tags.contains([*listing.tags]))
    if listing.words:
        statement = statement.where(DocumentRow.title_words.contains([*listing.words]))
    statement = statement.where(*map(_condition, listing.where))
    if listing.after is not None:
        place, document_id = listing.after
        after = tuple_(literal(place, key.type), literal(document_id, Uuid))
        statement = statement.where(order < after if listing.descending else order > after)
    if listing.descending:
        statement = statement.order_by(key.desc(), DocumentRow.id.desc())
    else:
        statement = statement.order_by(key, DocumentRow.id)
    return statement.limit(_limit(listing.limit))


def _limit(count: int | None) -> int | ColumnElement[Any]:
    return _EVERYTHING if count is None else count


def _member(parent: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    # a subscript would lead into arrays too, by its number; -> with a text leads into objects only
    return parent.op("->", return_type=WRITTEN)(literal(name, Text))


def _condition(condition: Condition) -> ColumnElement[bool]:
    member = reduce(_member, condition.path, DocumentRow.content.expression)
    match condition.operator, condition.value:
        case "exists", found:
            # a missing member is NULL, a JSON null is not
            return member.is_not(None) if found else member.is_(None)
        case "eq", value:
            return member == literal(orjson.dumps(value), WRITTEN)
        case "ne", value:
            return member.is_distinct_from(literal(orjson.dumps(value), WRITTEN))
        case order, str() as text:
            unquoted = member.op("#>>", return_type=Text())(literal_column("'{}'"))
            compared = _ORDERS[order](collate(unquoted, "C"), literal(text, Text))
            return case((func.jsonb_typeof(member) == "string", compared), else_=false())
        case order, number:
            compared = _ORDERS[order](member, literal(orjson.dumps(number), WRITTEN))
            return case((func.jsonb_typeof(member) == "number", compared), else_=false())


def inbox_of(client_id: ColumnElement[Any]) -> ColumnElement[str]:
    """The name of a client's inbox, as `shared.schemas.rooms.inbox` makes it."""
    return literal("@", Text) + cast(client_id, Text)


AT_ONCE = 5_000
"""Rows that one statement removes at most."""

_BEFORE = bindparam("before", type_=DateTime(timezone=True))


def _forget_events() -> Select[Any]:
    """The log goes from its start in order, and the last entry that goes stays to say so: whoever reads on
    from before it meets it, and knows that entries are missing."""
    log = EVENTS.c
    is_old = and_(log.at < _BEFORE, log.xid < OLDEST_RUNNING).label("old")
    first = select(log.xid, log.seq, is_old).order_by(log.xid, log.seq).limit(AT_ONCE).cte("first").c
    order = (first.xid, first.seq)
    old = select(*order, func.bool_and(first.old).over(order_by=order).label("old")).subquery("olds").c
    place = func.row_number().over(order_by=(old.xid.desc(), old.seq.desc())).label("place")
    going = select(old.seq, place).where(old.old).cte("going")
    gone = delete(EVENTS).where(log.seq == going.c.seq, going.c.place > 1)
    marked = update(EVENTS).where(log.seq == going.c.seq, going.c.place == 1, log.type != FORGOTTEN)
    return (
        select(func.count())
        .select_from(going)
        .add_cte(gone.cte("gone"), marked.values(type=FORGOTTEN).cte("marked"))
    )


def _forget(table: Table, old: ColumnElement[bool]) -> Select[Any]:
    """What another sweeper is just removing, or a request is just taking anew, is passed over."""
    key = list(table.primary_key)
    going = select(*key).where(old).limit(AT_ONCE).with_for_update(skip_locked=True).cte("going")
    gone = delete(table).where(*(column == going.c[column.name] for column in key))
    return select(func.count()).select_from(going).add_cte(gone.cte("gone"))


# a room counts on for as long as somebody is in it
_IN_USE = union_all(select(func.unnest(CLIENTS.c.rooms)), select(inbox_of(CLIENTS.c.id)))
FORGET = (
    _forget_events(),
    _forget(KEPT_ANSWERS, KEPT_ANSWERS.c.created_at < _BEFORE),
    _forget(POSTS, POSTS.c.at < _BEFORE),
    _forget(ROOMS, and_(ROOMS.c.posted_at < _BEFORE, ROOMS.c.name.not_in(_IN_USE))),
)
"""Each takes the time `before`, removes `AT_ONCE` older rows at most, and answers how many it found."""
