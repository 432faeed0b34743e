"""Whole sets, streamed by server-side cursors in one snapshot, on Motor."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias, TypeVar

import pymongo
from motor.motor_asyncio import AsyncIOMotorCursor

from motor_service.models import DOCUMENT, USER, Row, to_document, to_user
from motor_service.statements import (
    Connection,
    document_order,
    documents_of,
    user_order,
    users_of,
)
from shared import ports
from shared.finishing import LEAVING, finished
from shared.rules.batches import Pace
from shared.schemas.documents import Document, DocumentListing
from shared.schemas.users import User, UserListing

Item = TypeVar("Item")
Cursor: TypeAlias = AsyncIOMotorCursor[Row]

_AT_ONCE = 512
# how many rows the server sends at once is said in the beginning; it sends fewer where they are large
_DOCUMENTS_AT_ONCE = 50


class Exports(ports.exports.Exports):
    """Within a session that reads one snapshot; what is left open is closed with `cursors`."""

    def __init__(self, conn: Connection, cursors: AsyncExitStack) -> None:
        self._conn = conn
        self._cursors = cursors

    async def users(self, listing: UserListing) -> AsyncGenerator[Sequence[User], None]:
        rows = self._conn.users.find(
            users_of(listing),
            USER,
            sort=user_order(listing),
            limit=listing.limit or 0,
            batch_size=_AT_ONCE,
            session=self._conn.session,
        )
        async for users in self._read(rows, to_user):
            yield users

    async def documents(self, listing: DocumentListing) -> AsyncGenerator[Sequence[Document], None]:
        rows = self._conn.documents.find(
            documents_of(listing),
            DOCUMENT,
            sort=document_order(listing),
            limit=listing.limit or 0,
            batch_size=_DOCUMENTS_AT_ONCE,
            session=self._conn.session,
        )
        async for documents in self._read(rows, to_document):
            yield documents

    async def _read(
        self, rows: Cursor, to_item: Callable[[Row], Item]
    ) -> AsyncGenerator[Sequence[Item], None]:
        async with self._opened(rows):
            pace, started = Pace(_AT_ONCE), time.perf_counter()
            while some := await _next(rows, pace.count):
                items = [to_item(row) for row in some]
                pace.took(time.perf_counter() - started)
                yield items
                started = time.perf_counter()

    @asynccontextmanager
    async def _opened(self, rows: Cursor) -> AsyncIterator[None]:
        self._cursors.push_async_callback(_close, rows)
        try:
            yield
        finally:
            await _close(rows)


async def _next(rows: Cursor, at_once: int) -> Sequence[Row]:
    # a cursor's time limit would be one for all of its rows: the socket's time-out is one for each fetch
    with pymongo.timeout(0):
        some: Sequence[Row] = await finished(rows.to_list(at_once))
        return some


async def _close(rows: Cursor) -> None:
    """Once, and soon: what the server does not hear of now, the driver tells it later."""
    with pymongo.timeout(LEAVING):
        await rows.close()
