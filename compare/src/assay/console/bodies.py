"""What a body is taken for: a JSON value, lines of text, or bytes."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

import orjson

LEVELS: Final = 100
"""JSON that is nested deeper is text: whatever walks through a value goes one call deeper at each level."""

Kind = Literal["nothing", "json", "text", "bytes"]

_JSON = re.compile(r"[\w.+-]+/(?:[\w.+-]+\+)?json\s*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Body:
    """`value` is that of JSON; `text` is what a reader sees, None where there is nothing."""

    kind: Kind
    value: Any = None
    text: str | None = None


def body_of(raw: bytes, content_type: str, *, cut: bool) -> Body:
    """`cut`: only the beginning of a longer one, which may end within a letter.

    >>> body_of(b'{"a":1.0}', "application/problem+json", cut=False).value
    {'a': 1.0}
    >>> body_of(b'{"a":1.0}', "application/octet-stream", cut=False)
    Body(kind='text', value=None, text='{"a":1.0}')
    """
    if not raw:
        return Body("nothing")
    if _JSON.match(content_type):
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass
        else:
            if not _is_deep(value):
                # written here: a browser's numbers are floats, without the last digits of large integers
                return Body("json", value, orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    try:
        return Body("text", text=codecs.getincrementaldecoder("utf-8")().decode(raw, final=not cut))
    except UnicodeDecodeError:
        return Body("bytes", text=f"{len(raw)} bytes that are no text, SHA-256 {sha256(raw).hexdigest()}")


def _is_deep(value: Any) -> bool:
    """Level by level, so that no depth is too much for it."""
    level = [value]
    for _ in range(LEVELS):
        level = [member for one in level for member in _members(one)]
    return any(isinstance(one, dict | list) for one in level)


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
