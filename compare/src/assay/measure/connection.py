"""One keep-alive HTTP/1.1 connection of the load generator: prepared bytes out, answers parsed minimally."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, cast


class LoadError(Exception):
    """The load cannot go on: a wrong address, a source that ran dry, an answer the generator cannot read."""


class Asked(NamedTuple):
    """A request whose answer its sender wants to see, for instance to learn the next ETag."""

    wire: bytes
    on_answer: Callable[[int, bytes, bytes], None]
    """Called with the status, the head (status line and headers, no blank line) and the body."""


Source = Callable[[], bytes | Asked]
"""Gives the next request; the `__next__` of an endless iterator is one."""


class Listener(Protocol):
    """Who is told what became of a request."""

    def answered(self, connection: "Connection", status: int, size: int) -> None: ...
    def lost(self, connection: "Connection") -> None: ...
    def broken(self, error: BaseException) -> None: ...


def prepare(
    method: str, path: str, host: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """The bytes of one request; `Content-Length` is added where there is a body.

    >>> prepare("GET", "/users", "localhost:8000")
    b'GET /users HTTP/1.1\\r\\nhost: localhost:8000\\r\\n\\r\\n'
    """
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {text}" for name, text in (headers or {}).items()]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


def read_head(head: bytes) -> tuple[int, int]:
    """Status and body length of an answer's head; `LoadError` where the body's end cannot be known from it.

    >>> read_head(b"HTTP/1.1 200 OK\\r\\nContent-Length: 12")
    (200, 12)
    >>> read_head(b"HTTP/1.1 304 Not Modified\\r\\ncontent-length: 12")
    (304, 0)
    """
    try:
        status = int(head[9:12])
        if status in {204, 304}:
            return status, 0
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            at = head.lower().find(b"\r\ncontent-length:")
        if at > 0 and status >= 200:
            end = head.find(b"\r\n", at + 17)
            return status, int(head[at + 17 : end if end > 0 else len(head)])
    except ValueError as error:
        raise LoadError(f"not an HTTP/1.1 answer: {head[:60]!r}") from error
    if b"\r\ntransfer-encoding:" in head.lower():
        raise LoadError("a chunked answer: the load generator measures only answers with a Content-Length")
    raise LoadError(f"an answer without a Content-Length: {head[:60]!r}")


class Connection(asyncio.Protocol):
    """Has at most one request in flight; tells its listener of the answer, or of its loss."""

    __slots__ = (
        "_chunks",
        "_head",
        "_keep",
        "_missing",
        "_size",
        "_status",
        "_transport",
        "asked",
        "busy",
        "due_ns",
        "index",
        "listener",
    )

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.busy = False
        self.due_ns = 0
        self.index = 0
        self.asked: Asked | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._keep = False
        self._missing = 0
        self._status = 0
        self._size = 0
        self._head = b""
        self._chunks: list[bytes] = []

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def head(self) -> bytes:
        """The last answer's head, where `keep` was asked for."""
        return self._head

    @property
    def body(self) -> bytes:
        """The last answer's body, where `keep` was asked for."""
        return b"".join(self._chunks)

    def send(self, wire: bytes, *, keep: bool) -> None:
        """Writes a request; `keep` keeps the answer's head and body until the next one."""
        assert self._transport is not None
        self._keep = keep
        self.busy = True
        self._transport.write(wire)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's does not derive from it

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self.listener is not None:
            self.listener.lost(self)

    def data_received(self, data: bytes) -> None:
        listener = self.listener
        if listener is None or not self.busy:
            self.abort()
            return
        try:
            self._read(data, listener)
        except Exception as error:  # noqa: BLE001 - whoever awaits the slice gets it; here it would be only logged
            listener.broken(error)

    def _read(self, data: bytes, listener: Listener) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            seen = self._head + data if self._size else data
            end = seen.find(b"\r\n\r\n")
            if end < 0:
                self._head = seen
                self._size = len(seen)
                return
            head = seen[:end]
            self._status, length = read_head(head)
            self._missing = length + end + 4 - len(seen)
            self._head = head
            self._size = length + end + 4
            data = seen[end + 4 :]
            self._chunks = []
        if self._keep:
            self._chunks.append(data)
        if self._missing > 0:
            return
        if self._missing < 0:
            raise LoadError(f"{-self._missing} bytes more than the Content-Length of the answer")
        size, self._size = self._size, 0
        self.busy = False
        listener.answered(self, self._status, size)
