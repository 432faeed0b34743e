"""Opaque page cursors: the place after the last row seen, sealed so that only its own listing reads it."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2b
from hmac import compare_digest
from uuid import UUID

import orjson

_SEAL_BYTES = 16

Place = tuple[str | int, UUID]
"""A row's sort key and its id. Times are milliseconds since 1970."""


class CursorRefused(ValueError):
    """The cursor was not made by this service for this listing."""


class Cursors:
    """Seals and opens cursors with a secret. The seal is keyed BLAKE2b (RFC 7693) over listing and place.

    >>> cursors, id = Cursors(b"secret"), UUID(int=7)
    >>> cursors.open(cursors.seal(("ada", id), b"users|name"), b"users|name")
    ('ada', UUID('00000000-0000-0000-0000-000000000007'))
    """

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, person=b"assay-cursor", digest_size=32).digest()

    def seal(self, place: Place, listing: bytes) -> str:
        written = orjson.dumps([place[0], place[1].hex])
        return urlsafe_b64encode(self._seal(written, listing) + written).rstrip(b"=").decode()

    def open(self, cursor: str, listing: bytes) -> Place:
        try:
            sealed = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (NotBase64, UnicodeEncodeError) as error:
            raise CursorRefused from error
        written = sealed[_SEAL_BYTES:]
        if not compare_digest(sealed[:_SEAL_BYTES], self._seal(written, listing)):
            raise CursorRefused
        key, id_hex = orjson.loads(written)
        return key, UUID(hex=id_hex)

    def _seal(self, written: bytes, listing: bytes) -> bytes:
        return blake2b(listing + b"\0" + written, key=self._key, digest_size=_SEAL_BYTES).digest()
