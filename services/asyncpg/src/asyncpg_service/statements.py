"""Statements that are put together (values are always arguments), and what is forgotten in sets."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import orjson

from asyncpg_service.models import Connection
from shared.rules.etags import Versions
from shared.rules.filters import Condition
from shared.rules.text_keys import prefix_end
from shared.schemas.documents import DocumentListing
from shared.schemas.pages import Newest
from shared.schemas.users import UserListing

_USER_KEYS = {"created_at": "created_at", "name": "name_key", "email": "email_key"}
_DOCUMENT_KEYS = {"created_at": "created_at", "updated_at": "updated_at", "title": "title_key"}
_ORDERS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}

FORGOTTEN = "forgotten"
"""The type of the log's first entry where there were others before it."""
AT_ONCE = 5_000
"""Rows that one statement removes at most."""
# The log goes from its start in order, and the last entry that goes stays to say so: whoever reads on from
# before it meets it, and knows that entries are missing.
_FORGET_EVENTS = f"""
    WITH first AS (
        SELECT xid, seq, at < $1 AND xid < pg_snapshot_xmin(pg_current_snapshot()) AS old
        FROM events ORDER BY xid, seq LIMIT {AT_ONCE}
    ), going AS (
        SELECT seq, row_number() OVER (ORDER BY xid DESC, seq DESC) AS place
        FROM (SELECT xid, seq, bool_and(old) OVER (ORDER BY xid, seq) AS old FROM first) AS first WHERE old
    ), gone AS (
        DELETE FROM events USING going WHERE events.seq = going.seq AND place > 1
    ), marked AS (
        UPDATE events SET type = '{FORGOTTEN}' FROM going
        WHERE events.seq = going.seq AND place = 1 AND type <> '{FORGOTTEN}'
    )
    SELECT count(*) FROM going
"""
# what another sweeper is just removing, or a request is just taking anew, is passed over
_FORGET = f"""
    WITH gone AS (
        DELETE FROM {{table}} WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {{table}} WHERE {{old}} LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED
        )) RETURNING 1
    )
    SELECT count(*) FROM gone
"""
# a room counts on for as long as somebody is in it
_LEFT = """
    posted_at < $1 AND name NOT IN (SELECT unnest(rooms) FROM clients UNION ALL SELECT '@' || id FROM clients)
"""
FORGET = (
    _FORGET_EVENTS,
    _FORGET.format(table="idempotency_keys", old="created_at < $1"),
    _FORGET.format(table="room_posts", old="at < $1"),
    _FORGET.format(table="rooms", old=_LEFT),
)
"""Each takes a time, removes `AT_ONCE` older rows at most, and answers how many it found."""


class Arguments(list[object]):
    """Of a statement that is put together: `add` gives the value's place in the text."""

    def add(self, value: object) -> str:
        self.append(value)
        return f"${len(self)}"


def accepted(expected: Versions) -> list[int] | None:
    return None if expected is None else sorted(expected)


def savepoint(conn: Connection) -> AbstractAsyncContextManager[Any]:
    """Where a statement may fail and another one is to follow it: in a transaction, a savepoint; outside
    of one nothing, and no round trip."""
    return conn.transaction() if conn.is_in_transaction() else nullcontext()


def newest_page(of: str, listing: Newest, arguments: Arguments) -> str:
    """`of` is the column of what the rows belong to."""
    conditions = f"{of} = {arguments.add(listing.of)}"
    if listing.after is not None:
        created_at, row_id = map(arguments.add, listing.after)
        conditions += f" AND (created_at, id) < ({created_at}, {row_id})"
    return f"""
        WHERE {conditions} ORDER BY created_at DESC, id DESC LIMIT {arguments.add(listing.limit)}
    """


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
