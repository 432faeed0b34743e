"""Opaque page cursors: the place after the last row seen, sealed so that only its own listing reads it."""

from uuid import UUID

import orjson

from shared.rules.seals import SealBroken, Seals

Place = tuple[str | int, UUID]
"""A row's sort key and its id. Times are milliseconds since 1970."""


class CursorRefused(ValueError):
    """The cursor was not made by this service for this listing."""


class Cursors:
    """Seals and opens cursors with a secret.

    >>> cursors, id = Cursors(b"secret"), UUID(int=7)
    >>> cursors.open(cursors.seal(("ada", id), b"users|name"), b"users|name")
    ('ada', UUID('00000000-0000-0000-0000-000000000007'))
    """

    def __init__(self, secret: bytes) -> None:
        self._seals = Seals(secret, b"assay-cursor")

    def seal(self, place: Place, listing: bytes) -> str:
        return self._seals.close(orjson.dumps([place[0], place[1].hex]), listing)

    def open(self, cursor: str, listing: bytes) -> Place:
        try:
            key, id_hex = orjson.loads(self._seals.open(cursor, listing))
        except SealBroken as error:
            raise CursorRefused from error
        return key, UUID(hex=id_hex)
