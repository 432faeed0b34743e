"""What a client of a database waits for, read from the bytes that it sends. Without TLS and compression."""

from collections.abc import Iterator
from typing import Final, Literal, Protocol

Wait = Literal["round trip", "flush"]

_POSTGRESQL_WAITS: Final[dict[bytes, Wait]] = {b"S": "round trip", b"Q": "round trip", b"H": "flush"}
_PROTOCOL_3 = 3
_OP_MSG = 2013
_MORE_TO_COME = 2
_GREETINGS = (b"hello", b"isMaster", b"ismaster")


class Requests(Protocol):
    """Of one connection, put together again however they were split."""

    def waits(self, sent: bytes) -> Iterator[Wait]: ...


class PostgreSQLRequests(Requests):
    """Start-up messages have no type and no count; the last one names the protocol."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._typed = False

    def waits(self, sent: bytes) -> Iterator[Wait]:
        self._kept += sent
        while message := _taken(self._kept, int(self._typed), "big"):
            if not self._typed:
                self._typed = int.from_bytes(message[4:6]) == _PROTOCOL_3
            elif message[:1] in _POSTGRESQL_WAITS:
                yield _POSTGRESQL_WAITS[message[:1]]


class MongoDBRequests(Requests):
    """Greetings, which the driver's monitors repeat, and what asks for no answer do not count."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def waits(self, sent: bytes) -> Iterator[Wait]:
        self._kept += sent
        while message := _taken(self._kept, 0, "little"):
            asks = int.from_bytes(message[12:16], "little") == _OP_MSG and not message[16] & _MORE_TO_COME
            if asks and message[26:].partition(b"\0")[0] not in _GREETINGS:
                yield "round trip"


def _taken(kept: bytearray, start: int, order: Literal["big", "little"]) -> bytes | None:
    """The first message, once it is whole; its length stands at `start` and counts from there."""
    length = kept[start : start + 4]
    size = start + int.from_bytes(length, order)
    if len(length) < 4 or len(kept) < size:
        return None
    message = bytes(kept[:size])
    del kept[:size]
    return message
