"""Statements that are put together: the pages of listings. Values are always arguments."""

import orjson

from shared.rules.etags import Versions
from shared.rules.filters import Condition
from shared.rules.text_keys import prefix_end
from shared.schemas.documents import DocumentListing
from shared.schemas.users import UserListing

_USER_KEYS = {"created_at": "created_at", "name": "name_key", "email": "email_key"}
_DOCUMENT_KEYS = {"created_at": "created_at", "updated_at": "updated_at", "title": "title_key"}
_ORDERS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}


class Arguments(list[object]):
    """Of a statement that is put together: `add` gives the value's place in the text."""

    def add(self, value: object) -> str:
        self.append(value)
        return f"${len(self)}"


def accepted(expected: Versions) -> list[int] | None:
    return None if expected is None else sorted(expected)


def users_page(listing: UserListing, arguments: Arguments) -> str:
    key = _USER_KEYS[listing.sort]
    direction, beyond = ("DESC", "<") if listing.descending else ("ASC", ">")
    conditions = ["true"]
    if listing.after is not None:
        place, user_id = map(arguments.add, listing.after)
        conditions.append(f"({key}, id) {beyond} ({place}, {user_id})")
    if listing.prefix is not None:
        conditions.append(_prefix(listing.prefix, arguments))
    return f"""
        WHERE {" AND ".join(conditions)}
        ORDER BY {key} {direction}, id {direction} LIMIT {arguments.add(listing.limit)}
    """


def _prefix(prefix: str, arguments: Arguments) -> str:
    """As ranges of the keys, which the indexes can walk."""
    low, end = arguments.add(prefix), prefix_end(prefix)
    ranges = [f"{key} >= {low}" for key in ("name_key", "email_key")]
    if end is not None:
        high = arguments.add(end)
        ranges = [f"({key} >= {low} AND {key} < {high})" for key in ("name_key", "email_key")]
    return f"({' OR '.join(ranges)})"


def documents_page(listing: DocumentListing, arguments: Arguments) -> str:
    key = f"documents.{_DOCUMENT_KEYS[listing.sort]}"
    direction, beyond = ("DESC", "<") if listing.descending else ("ASC", ">")
    conditions = ["true"]
    if listing.owner_id is not None:
        conditions.append(f"documents.owner_id = {arguments.add(listing.owner_id)}")
    if listing.tags:
        conditions.append(f"documents.tags @> {arguments.add(listing.tags)}")
    if listing.words:
        conditions.append(f"documents.title_words @> {arguments.add(listing.words)}")
    conditions.extend(_condition(condition, arguments) for condition in listing.where)
    if listing.after is not None:
        place, document_id = map(arguments.add, listing.after)
        conditions.append(f"({key}, documents.id) {beyond} ({place}, {document_id})")
    return f"""
        WHERE {" AND ".join(conditions)}
        ORDER BY {key} {direction}, documents.id {direction} LIMIT {arguments.add(listing.limit)}
    """


def _condition(condition: Condition, arguments: Arguments) -> str:
    # -> with a text key leads into objects only; a missing member is NULL, a JSON null is not
    member = "documents.content" + "".join(f" -> {arguments.add(name)}::text" for name in condition.path)
    match condition.operator, condition.value:
        case "exists", found:
            return f"({member}) IS {'NOT NULL' if found else 'NULL'}"
        case "eq", value:
            return f"({member}) = {arguments.add(orjson.dumps(value))}::jsonb"
        case "ne", value:
            return f"({member}) IS DISTINCT FROM {arguments.add(orjson.dumps(value))}::jsonb"
        case order, str() as text:
            compared = f"({member} #>> '{{}}') COLLATE \"C\" {_ORDERS[order]} {arguments.add(text)}::text"
            return f"CASE jsonb_typeof({member}) WHEN 'string' THEN {compared} ELSE false END"
        case order, number:
            bound = f"{arguments.add(orjson.dumps(number))}::jsonb"
            compared = f"({member}) {_ORDERS[order]} {bound}"
            return f"CASE jsonb_typeof({member}) WHEN 'number' THEN {compared} ELSE false END"
