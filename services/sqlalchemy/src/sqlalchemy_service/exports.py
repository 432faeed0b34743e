"""Whole sets on SQLAlchemy, read by the server's cursors."""

import time
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.rules.batches import Pace
from shared.schemas.documents import Document, DocumentListing
from shared.schemas.users import User, UserListing
from sqlalchemy_service.models import DOCUMENT
from sqlalchemy_service.statements import documents_page, users_page

Item = TypeVar("Item")

_AT_ONCE = 512


class Exports(ports.exports.Exports):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def users(self, listing: UserListing) -> AsyncGenerator[Sequence[User], None]:
        return self._read(users_page(listing))

    def documents(self, listing: DocumentListing) -> AsyncGenerator[Sequence[Document], None]:
        return self._read(documents_page(select(DOCUMENT), listing))

    async def _read(self, statement: Select[Item]) -> AsyncGenerator[Sequence[Item], None]:
        rows = await self._session.stream_scalars(statement)
        try:
            pace, started = Pace(_AT_ONCE), time.perf_counter()
            while part := await rows.fetchmany(pace.count):
                pace.took(time.perf_counter() - started)
                yield part
                started = time.perf_counter()
        finally:
            await rows.close()
