"""Whole sets, streamed from one snapshot by a server-side cursor (EXP-1)."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from shared.schemas.documents import Document, DocumentListing
from shared.schemas.users import User, UserListing


class Exports(Protocol):
    def users(self, listing: UserListing) -> AsyncGenerator[Sequence[User], None]:
        """The users of the listing in its order, some hundred at a time; the next ones are read when they are
        asked for. EXP-1"""

    def documents(self, listing: DocumentListing) -> AsyncGenerator[Sequence[Document], None]:
        """The documents of the listing in its order, some hundred at a time; the next ones are read when they
        are asked for. EXP-1"""
