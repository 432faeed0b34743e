"""Canonical JSON and the figures of a content (DOC-7). CPU work: call it off the event loop."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from shared.rules import text_keys


@dataclass(frozen=True, slots=True)
class Stats:
    words: int
    characters: int
    keys: int
    depth: int
    sha256: str


def stats(content: dict[str, Any]) -> Stats:
    """Words and characters (code points) of all string values, keys at every level, depth, and the hash of
    the canonical form.

    >>> stats({"a": "two words", "b": [{"c": 1}]}).keys
    3
    """
    texts = [value for value in _walk(content) if isinstance(value, str)]
    return Stats(
        words=sum(text_keys.count_words(text) for text in texts),
        characters=sum(map(len, texts)),
        keys=sum(len(value) for value in _walk(content) if isinstance(value, dict)),
        depth=_depth(content),
        sha256=sha256(canonical(content).encode()).hexdigest(),
    )


def canonical(value: Any) -> str:
    """RFC 8785, but integers beyond 2**53 keep all their digits.

    >>> canonical({"b": [1e21, 0.000001, 1e-7], "a": "\\u20ac"})
    '{"a":"€","b":[1e+21,0.000001,1e-7]}'
    """
    if isinstance(value, dict):
        members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))
        return "{" + ",".join(f"{_string(name)}:{canonical(member)}" for name, member in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return _float(value)
    return orjson.dumps(value).decode()


def _string(text: str) -> str:
    # orjson escapes what RFC 8785, 3.2.2.2 escapes and nothing else
    return orjson.dumps(text).decode()


def _float(number: float) -> str:
    """ECMAScript's Number::toString (RFC 8785, 3.2.2.3), from Python's shortest digits.

    >>> _float(1e-6), _float(1.5e300), _float(-0.0), _float(123456789012345680000.0)
    ('0.000001', '1.5e+300', '0', '123456789012345680000')
    """
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = (len(whole) if whole != "0" else len(digits) - len(fraction)) + int(exponent or 0)
    digits = digits.rstrip("0")
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    """The digits with the decimal point after `point` of them, as ECMAScript writes it."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    power = point - 1
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{'+' if power > 0 else '-'}{abs(power)}"


def _walk(value: Any) -> Iterator[Any]:
    yield value
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        yield from _walk(member)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
