"""Whole sets, streamed by server-side cursors in one snapshot: Tortoise's own `async for` loads them all."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import count
from typing import Any, TypeVar

from tortoise import Model
from tortoise.backends.asyncpg.client import TransactionWrapper
from tortoise.context import TortoiseContext
from tortoise.queryset import QuerySet

from shared import ports
from shared.errors import Unavailable
from shared.rules.batches import Pace
from shared.schemas.documents import Document, DocumentListing
from shared.schemas.users import User, UserListing
from tortoise_service import documents, users
from tortoise_service.models import to_document, to_user
from tortoise_service.statements import current

Row = TypeVar("Row", bound=Model)
Item = TypeVar("Item")

_AT_ONCE = 512


class Exports(ports.exports.Exports):
    """Within a transaction, whose end closes the cursors."""

    def __init__(self, context: TortoiseContext, client: TransactionWrapper) -> None:
        self._context = context
        self._client = client
        self._numbers = count(1)

    async def users(self, listing: UserListing) -> AsyncGenerator[Sequence[User], None]:
        with current(self._context):
            listed = users.listed(self._client, listing)
        async for found in self._read(listed, to_user):
            yield found

    async def documents(self, listing: DocumentListing) -> AsyncGenerator[Sequence[Document], None]:
        with current(self._context):
            listed = documents.listed(self._client, listing)
        async for found in self._read(listed, to_document):
            yield found

    async def _read(
        self, rows: QuerySet[Row], to_item: Callable[[Row], Item]
    ) -> AsyncGenerator[Sequence[Item], None]:
        with current(self._context):
            rows._make_query()
        # a declared cursor, not the driver's: the server plans it for its first rows, the other for its last
        # and one name for one set of columns: the driver remembers what each FETCH brings
        cursor = f"{rows.model._meta.db_table}_{next(self._numbers)}"
        statement, arguments = rows.query.get_parameterized_sql()
        await self._client.execute_query(f"DECLARE {cursor} NO SCROLL CURSOR FOR {statement}", arguments)
        pace, started = Pace(_AT_ONCE), time.perf_counter()
        while found := await self._fetch(f"FETCH {pace.count} FROM {cursor}"):
            items = [to_item(rows.model._init_from_db(**row)) for row in found]
            pace.took(time.perf_counter() - started)
            yield items
            started = time.perf_counter()

    async def _fetch(self, statement: str) -> list[dict[str, Any]]:
        try:
            found: list[dict[str, Any]] = await self._client.execute_query_dict(statement)
        except (AssertionError, BufferError) as error:
            # columns have other types by now: the server runs a prepared FETCH all the same, and the driver
            # finds too little or too much in what comes
            await self._client._connection.reload_schema_state()
            raise Unavailable from error
        return found
