"""Opaque, URL-safe texts that only their maker can make: what is written in them, under a seal."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from hashlib import blake2b
from hmac import compare_digest

_SEAL_BYTES = 16


class SealBroken(ValueError):
    """The text was not made with this secret for this purpose."""


class Seals:
    """The seal is keyed BLAKE2b (RFC 7693) over the purpose and what is written. `person` keeps apart what is
    sealed for different uses with one secret.

    >>> seals = Seals(b"secret", b"letters")
    >>> seals.open(seals.close(b"hello", b"ada"), b"ada")
    b'hello'
    """

    def __init__(self, secret: bytes, person: bytes) -> None:
        self._key = blake2b(secret, person=person, digest_size=32).digest()

    def close(self, written: bytes, purpose: bytes = b"") -> str:
        return urlsafe_b64encode(self._seal(written, purpose) + written).rstrip(b"=").decode()

    def open(self, text: str, purpose: bytes = b"") -> bytes:
        """Raises SealBroken."""
        try:
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (NotBase64, UnicodeEncodeError) as error:
            raise SealBroken from error
        written = sealed[_SEAL_BYTES:]
        if not compare_digest(sealed[:_SEAL_BYTES], self._seal(written, purpose)):
            raise SealBroken
        return written

    def _seal(self, written: bytes, purpose: bytes) -> bytes:
        return blake2b(purpose + b"\0" + written, key=self._key, digest_size=_SEAL_BYTES).digest()
