"""One request and its answer, as the routes see them. No parsing of bodies or queries here."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope

from shared.http.cached import CachedBody
from shared.ports.backend import Backend
from shared.registry import Service
from shared.rules.cursors import Cursors
from shared.settings import Settings
from shared.trips import Trips

JSON = (b"content-type", b"application/json")


@dataclass(slots=True)
class State:
    """What a service's process holds for all requests."""

    service: Service
    settings: Settings
    backend: Backend
    cursors: Cursors
    database_version: str
    dashboard: CachedBody


class Call:
    """One request."""

    __slots__ = ("receive", "request_id", "scope", "started", "state", "trips")

    def __init__(self, scope: Scope, receive: Receive, state: State, started: float) -> None:
        self.scope = scope
        self.receive = receive
        self.state = state
        self.started = started
        self.trips = Trips()
        self.request_id = b""

    @property
    def backend(self) -> Backend:
        return self.state.backend

    def header(self, name: bytes) -> str | None:
        """All lines of a header joined, or None where it was not sent. `name` in lower case."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return b", ".join(values).decode("latin-1") if values else None


class Answer:
    """An answer that is ready to be sent: the body is whole, and whatever it tells of is committed."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, body: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = (JSON,)
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [*headers]
        if status not in (204, 304):
            self.headers.append((b"content-length", b"%d" % len(body)))
