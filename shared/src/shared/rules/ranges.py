"""The part of a file that a `Range` header asks for (RFC 9110, section 14)."""

import re
import sys

Span = tuple[int, int]
"""The first byte, and the first one beyond."""

_ONE_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE).fullmatch
_DIGITS_MAX = 18


class RangeNotSatisfiable(ValueError):
    """The file has none of the bytes."""


def asked_span(header: str, size: int) -> Span | None:
    """What is asked for of `size` bytes; None is the whole file: for several ranges, another unit than bytes,
    and what is no range.

    >>> asked_span("bytes=0-3", 10), asked_span("bytes=4-", 10), asked_span("bytes=-3", 10)
    ((0, 4), (4, 10), (7, 10))
    >>> asked_span("bytes=8-99999999999999999999", 10), asked_span("bytes=-99", 10)
    ((8, 10), (0, 10))
    >>> [asked_span(other, 10) for other in ("bytes=0-1,4-5", "lines=1-2", "bytes=4-3", "bytes=-", "4-5")]
    [None, None, None, None, None]
    >>> asked_span("bytes=-5", 0) is None
    True
    >>> asked_span("bytes=10-", 10)
    Traceback (most recent call last):
    shared.rules.ranges.RangeNotSatisfiable
    """
    found = _ONE_RANGE(header.strip(" \t"))
    if found is None:
        return None
    first, last = map(_number, found.groups())
    if first is None:
        return None if last is None else _suffix(last, size)
    if last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable
    return first, size if last is None else min(last + 1, size)


def _suffix(length: int, size: int) -> Span | None:
    if length == 0:
        raise RangeNotSatisfiable
    # a suffix of no bytes cannot be written as a Content-Range
    return (max(size - length, 0), size) if size else None


def _number(digits: str) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0") or "0"
    return int(significant) if len(significant) <= _DIGITS_MAX else sys.maxsize
