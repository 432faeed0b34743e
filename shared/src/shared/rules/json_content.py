"""Free-form JSON under GEN-6: what is refused, what is normalised, and its size."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from shared.rules import limits


class ContentRefused(ValueError):
    """The content breaks a rule of GEN-6; the message never repeats the content."""


class _Room:
    """How many more members fit into a content, if each has but one letter and a comma."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = limits.CONTENT_MAX_BYTES // 2

    def take(self, count: int) -> None:
        """Raises ContentRefused before millions of members are looked at, and copied, for nothing."""
        self._left -= count
        if self._left < 0:
            raise ContentRefused(_TOO_LARGE)


def normalise(value: Any, max_depth: int | None = limits.CONTENT_MAX_DEPTH, room: _Room | None = None) -> Any:
    """The value as every backend stores it: integral floats in the signed 64-bit range become integers.

    Raises ContentRefused on NUL in a string or key, an integer out of range, a float that is not finite,
    or nesting beyond `max_depth` (an object or array counts one, a scalar none).

    >>> normalise({"a": 1.0, "b": [-0.0, 1.5]})
    {'a': 1, 'b': [0, 1.5]}
    """
    kind = type(value)
    if kind is dict:
        room, depth = room or _Room(), _one_deeper(max_depth)
        if max_depth is not None:
            # without a limit it is a patch, whose members may all be removals
            room.take(len(value))
        return {_text(name): normalise(member, depth, room) for name, member in value.items()}
    if kind is list:
        room, depth = room or _Room(), _one_deeper(max_depth)
        room.take(len(value))
        return [normalise(member, depth, room) for member in value]
    return _SCALARS[kind](value)


def read_stored(written: bytes | str) -> Any:
    """The content that a database gives back as JSON text, as `normalise` had it.

    A database that keeps numbers as decimals writes a large float as a long integer; those that leave the
    signed 64-bit range are floats again.

    >>> read_stored(b'{"a": 9223372036854775808, "b": 10000000000000000000000}')
    {'a': 9.223372036854776e+18, 'b': 1e+22}
    """
    parsed = orjson.loads(written)
    # few contents hold so many digits: only those are walked
    return (
        _restored(parsed)
        if _LONG_NUMBER(written if isinstance(written, bytes) else written.encode())
        else parsed
    )


def _restored(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _restored(member) for name, member in value.items()}
    if kind is list:
        return [_restored(member) for member in value]
    if kind is float:
        return _number(value)
    if kind is int and not limits.INTEGER_MIN <= value <= limits.INTEGER_MAX:
        return float(value)
    return value


@dataclass(frozen=True, slots=True)
class Content:
    """A normalised content with its compact UTF-8 JSON, written once: its size, and what SQL layers store."""

    value: dict[str, Any]
    json: bytes


def content(value: Any, max_depth: int | None = limits.CONTENT_MAX_DEPTH) -> Content:
    """Raises ContentRefused where GEN-6 refuses the value as a content.

    >>> content({"a": "\u00e9"}).json == '{"a":"\u00e9"}'.encode()
    True
    """
    normalised = normalise(value, max_depth)
    if not isinstance(normalised, dict):
        raise ContentRefused("the content is no object")
    written = orjson.dumps(normalised)
    if len(written) > limits.CONTENT_MAX_BYTES:
        raise ContentRefused(_TOO_LARGE)
    return Content(normalised, written)


def same(one: Any, other: Any) -> bool:
    """Equality by value of two normalised values: a boolean is no number, key order does not count.

    >>> same({"a": 1, "b": [True]}, {"b": [True], "a": 1.0}), same([1], [True])
    (True, False)
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other)


def _one_deeper(max_depth: int | None) -> int | None:
    if max_depth is None:
        return None
    if max_depth == 0:
        raise ContentRefused(f"the content is nested deeper than {limits.CONTENT_MAX_DEPTH} levels")
    return max_depth - 1


def _text(text: str) -> str:
    if "\0" in text:
        raise ContentRefused("a string holds U+0000")
    return text


def _integer(number: int) -> int:
    if not limits.INTEGER_MIN <= number <= limits.INTEGER_MAX:
        raise ContentRefused("an integer is outside the signed 64-bit range")
    return number


def _number(number: float) -> int | float:
    if not math.isfinite(number):
        raise ContentRefused("a number is not finite")
    if number.is_integer() and limits.INTEGER_MIN <= number <= limits.INTEGER_MAX:
        return int(number)
    return number


def _as_is(value: Any) -> Any:
    return value


_SCALARS: dict[type, Callable[[Any], Any]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: _as_is,
    type(None): _as_is,
}
_TOO_LARGE = f"the content is larger than {limits.CONTENT_MAX_BYTES} bytes as compact JSON"
_LONG_NUMBER = re.compile(rb"[0-9]{19}").search
