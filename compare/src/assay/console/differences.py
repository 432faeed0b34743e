"""Where one backend's answer is not the other's, ids and times looked past as a comparison does."""

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from assay.console.answers import Shown
from assay.judge.equality import normalised
from shared.rules.json_content import same

MOST: Final = 50
"""Differences that are told of one pair of answers."""

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}(?:Z|\+00:00)")
_SHOWN_LETTERS: Final = 200
_ABSENT: Final = "nothing"
_PASSING: Final = frozenset({"age", "x-cache"})


class Difference(BaseModel):
    """`place` as a reader would write it: `status`, `header etag`, `body.items[0].name`."""

    place: str
    expected: str
    found: str


def differences(expected: Shown, found: Shown) -> list[Difference]:
    """The first MOST of them, in the order of the expected answer."""
    one, other = _seen(expected), _seen(found)
    return [
        Difference(place=place.removeprefix("."), expected=_short(was), found=_short(now))
        for _, (place, was, now) in zip(range(MOST), _apart("", one, other), strict=False)
    ]


def _seen(shown: Shown) -> dict[str, Any]:
    headers = {name: value for name, value in shown.headers.items() if name not in _PASSING}
    if "location" in headers:
        headers["location"] = headers["location"].removeprefix(shown.prefix)
    answer = {"status": shown.failure or shown.status, "header": headers, "cut": shown.cut}
    return {name: normalised(_blurred(value)) for name, value in (answer | _content(shown)).items()}


def _content(shown: Shown) -> dict[str, Any]:
    """Empty where the body is: that is no JSON null."""
    if shown.content == "json":
        body = shown.body
        if isinstance(body, dict) and isinstance(body.get("instance"), str):
            body = {**body, "instance": body["instance"].removeprefix(shown.prefix)}
        return {"body": body}
    if shown.text is None:
        return {}
    if shown.content == "text":
        return {"line": shown.text.splitlines(keepends=True)}
    return {"body": shown.text}


def _blurred(value: Any) -> Any:
    """Ids and times within longer texts too, such as the one in a `Location`."""
    if isinstance(value, str):
        return _TIME.sub("<time>", _ID.sub("<id>", value))
    if isinstance(value, list):
        return [_blurred(member) for member in value]
    if isinstance(value, dict):
        return {name: _blurred(member) for name, member in value.items()}
    return value


def _apart(place: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in (*one, *(name for name in other if name not in one)):
            yield from _apart(f"{place}.{name}", one.get(name, _Absent), other.get(name, _Absent))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            yield from _apart(f"{place}[{index}]", _at(one, index), _at(other, index))
    elif one is _Absent or other is _Absent or not same(one, other):
        yield place, one, other


class _Absent:
    """Stands for what the other answer does not have."""


def _at(members: list[Any], index: int) -> Any:
    return members[index] if index < len(members) else _Absent


def _short(value: Any) -> str:
    text = _ABSENT if value is _Absent else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"
