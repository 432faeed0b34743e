"""Users, as whole operations."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from shared.rules.etags import Versions
from shared.schemas.users import User, UserChange, UserListing, UserRecord


class Users(Protocol):
    async def create(self, user: UserRecord) -> None:
        """Stores the user. Raises EmailTaken. USR-1, USR-2"""

    async def create_many(self, users: Sequence[UserRecord]) -> None:
        """Stores all users or none. Raises EmailTaken with the places of the e-mails that are taken or
        repeated, the first of equals not among them. A constant number of round trips. USR-6"""

    async def get(self, user_id: UUID) -> User:
        """The user. Raises NotFound. USR-3"""

    async def list(self, listing: UserListing) -> Sequence[User]:
        """A stretch of the users, in one round trip. USR-7, GEN-9"""

    async def update(self, user_id: UUID, change: UserChange, expected: Versions) -> User:
        """Sets the fields and counts the version up where any differs by value, and answers the user as it
        then is. Raises NotFound, PreconditionFailed, EmailTaken. USR-4, GEN-10"""

    async def delete(self, user_id: UUID, expected: Versions) -> None:
        """Removes the user and all that is the user's, in one step. Raises NotFound, PreconditionFailed.
        USR-5, GEN-10"""
