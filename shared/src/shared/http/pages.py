"""Collections: from a query to a listing, from its rows to a page and the cursor of the next (GEN-9)."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from shared.http.call import Call
from shared.http.problems import ProblemError, invalid
from shared.http.queries import NewestQuery
from shared.rules.cursors import CursorRefused
from shared.schemas.pages import Newest, Page


class Dated(Protocol):
    @property
    def id(self) -> UUID: ...

    @property
    def created_at(self) -> datetime: ...


Row = TypeVar("Row")
DatedRow = TypeVar("DatedRow", bound=Dated)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def place_after(call: Call, cursor: str | None, listing: bytes) -> tuple[Any, UUID] | None:
    """Where the page starts. `listing` names the collection, the sort and the filters."""
    if cursor is None:
        return None
    try:
        key, row_id = call.state.cursors.open(cursor, listing)
    except CursorRefused as error:
        wrong = invalid("query", "cursor", msg="is not of this collection, sort and filters", kind="cursor")
        raise ProblemError("validation", field_errors=[wrong]) from error
    return (_EPOCH + key * _MILLISECOND if isinstance(key, int) else key), row_id


def page(
    call: Call,
    rows: Sequence[Row],
    limit: int,
    listing: bytes,
    place: Callable[[Row], tuple[str | datetime, UUID]],
) -> Page[Row]:
    """The first `limit` rows; a row more says that others follow."""
    if len(rows) <= limit:
        return Page(list(rows), None)
    key, row_id = place(rows[limit - 1])
    sort_key = (key - _EPOCH) // _MILLISECOND if isinstance(key, datetime) else key
    return Page(list(rows[:limit]), call.state.cursors.seal((sort_key, row_id), listing))


def newest(call: Call, of: UUID, query: NewestQuery, listing: bytes) -> Newest:
    """A stretch of what belongs to `of`, and a row more."""
    return Newest(of, place_after(call, query.cursor, listing), query.limit + 1)


def newest_page(call: Call, rows: Sequence[DatedRow], query: NewestQuery, listing: bytes) -> Page[DatedRow]:
    return page(call, rows, query.limit, listing, lambda row: (row.created_at, row.id))
