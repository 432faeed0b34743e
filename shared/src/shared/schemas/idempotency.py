"""Requests that may be repeated, and the answers that are kept for them (GEN-13)."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """`key` is a digest of the key and of who sent it, `fingerprint` one of what was asked; 32 bytes each.
    An answer from before `expired` is none."""

    key: bytes
    fingerprint: bytes
    moment: datetime
    expired: datetime


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    status: int
    location: str | None
    etag: str | None
    body: bytes
