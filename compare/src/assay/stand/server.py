"""A database server, wherever it comes from."""

from typing import Protocol

from assay.stand.errors import StandError
from assay.stand.options import DatabaseKind

START_SECONDS = 60.0


class Server(Protocol):
    """url: with the login and the database for administration, if the server has one.

    is_ours: started here, and so to be killed as well.
    pid: of the server process where it is ours and runs as a child of this one, else None.
    """

    @property
    def url(self) -> str: ...

    @property
    def is_ours(self) -> bool: ...

    @property
    def pid(self) -> int | None: ...

    @property
    def alive(self) -> bool: ...

    async def kill(self) -> None:
        """kill -9; returns when the server and its processes are gone."""

    async def start(self) -> None:
        """Start again on the same port and data, however it ended; returns when it answers."""


class GivenServer:
    """A server of the user's own: connected to, never touched."""

    is_ours = False
    pid = None
    alive = True

    def __init__(self, kind: DatabaseKind, url: str) -> None:
        self.url = url
        self._kind = kind

    async def kill(self) -> None:
        raise self._refusal()

    async def start(self) -> None:
        raise self._refusal()

    def _refusal(self) -> StandError:
        return StandError(
            f"The {self._kind} server was given by its URL: unset the URL to let Assay kill one of its own."
        )
