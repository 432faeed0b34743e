"""Statements that are put together: the pages of listings. Values are always arguments."""

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    Uuid,
    and_,
    case,
    collate,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from shared.rules.etags import Versions
from shared.rules.filters import Condition
from shared.rules.text_keys import prefix_end
from shared.schemas.documents import DocumentListing
from shared.schemas.users import User, UserListing
from sqlalchemy_service.models import USER, WRITTEN, DocumentRow, UserRow

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


def accepted(expected: Versions) -> list[int] | None:
    return None if expected is None else sorted(expected)


def users_page(listing: UserListing) -> Select[User]:
    key = _USER_KEYS[listing.sort]
    order = tuple_(key, UserRow.id)
    statement = select(USER).limit(listing.limit)
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
    return statement.limit(listing.limit)


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
