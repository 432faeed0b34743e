"""Whole sets, streamed by server-side cursors in one snapshot."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import count
from typing import TypeVar

from asyncpg import Record

from asyncpg_service.models import DOCUMENT, USER, Connection, to_document, to_user
from asyncpg_service.statements import Arguments, documents_page, users_page
from shared import ports
from shared.errors import Unavailable
from shared.rules.batches import Pace
from shared.schemas.documents import Document, DocumentListing
from shared.schemas.users import User, UserListing

_AT_ONCE = 512

Row = TypeVar("Row")


class Exports(ports.exports.Exports):
    """Within a transaction, whose end closes the cursors."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._numbers = count(1)

    def users(self, listing: UserListing) -> AsyncGenerator[Sequence[User], None]:
        arguments = Arguments()
        statement = f"SELECT {USER} FROM users {users_page(listing, arguments)}"
        return self._read("users", statement, arguments, to_user)

    def documents(self, listing: DocumentListing) -> AsyncGenerator[Sequence[Document], None]:
        arguments = Arguments()
        statement = f"SELECT {DOCUMENT} FROM documents {documents_page(listing, arguments)}"
        return self._read("documents", statement, arguments, to_document)

    async def _read(
        self, name: str, statement: str, arguments: Arguments, to_row: Callable[[Record], Row]
    ) -> AsyncGenerator[Sequence[Row], None]:
        # a declared cursor, not the driver's: the server plans it for its first rows, the other for its last
        # and one name for one set of columns: the driver remembers what each FETCH brings
        cursor = f"{name}_{next(self._numbers)}"
        await self._conn.execute(f"DECLARE {cursor} NO SCROLL CURSOR FOR {statement}", *arguments)
        pace, started = Pace(_AT_ONCE), time.perf_counter()
        while rows := await self._fetch(f"FETCH {pace.count} FROM {cursor}"):
            found = [to_row(row) for row in rows]
            pace.took(time.perf_counter() - started)
            yield found
            started = time.perf_counter()

    async def _fetch(self, statement: str) -> list[Record]:
        try:
            return await self._conn.fetch(statement)
        except (AssertionError, BufferError) as error:
            # columns have other types by now: the server runs a prepared FETCH all the same, and the driver
            # finds too little or too much in what comes
            await self._conn.reload_schema_state()
            raise Unavailable from error
