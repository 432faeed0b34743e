"""Ids: UUIDv7, made here so that all layers store the same kind; and the one form in which they are read."""

import re
from uuid import UUID

import uuid_utils

_FORM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch


def new_id() -> UUID:
    """
    >>> new_id().version, new_id() < new_id()
    (7, True)
    """
    return UUID(int=uuid_utils.uuid7().int)


def parse_id(text: str) -> UUID | None:
    """The id that a client sent, or None where it is malformed: 36 lower-case characters, any version.

    >>> parse_id("01890a5d-ac96-774b-bcce-b302099a8057")
    UUID('01890a5d-ac96-774b-bcce-b302099a8057')
    >>> parse_id("01890A5D-AC96-774B-BCCE-B302099A8057") is None
    True
    """
    return UUID(text) if _FORM(text) else None
