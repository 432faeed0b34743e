"""The `where=path:op:value` filters of a listing, parsed into what the layers translate (DOC-6)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import pydantic_core

from shared.rules import json_content, limits

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "exists"]
Scalar = str | int | float | bool | None

_OPERATORS = get_args(Operator)
_SEGMENT = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.WHERE_SEGMENT_MAX}}}").fullmatch
_LOOKS_LIKE_JSON = re.compile(r'["\[{\-0-9]').match


class FilterRefused(ValueError):
    """The filter is not of the form that DOC-6 gives; the message says which part."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the content. `eq` and `ne` take any scalar, the orders a number or a string,
    `exists` a boolean. `path` leads through objects only."""

    path: tuple[str, ...]
    operator: Operator
    value: Scalar


def parse(text: str) -> Condition:
    """
    >>> parse("size.width:ge:10")
    Condition(path=('size', 'width'), operator='ge', value=10)
    >>> parse("state:eq:open").value, parse('state:eq:"7"').value, parse("done:exists:true").value
    ('open', '7', True)
    """
    dotted, separator, rest = text.partition(":")
    operator, second_separator, written = rest.partition(":")
    if not (separator and second_separator):
        raise FilterRefused("a filter has the form path:op:value")
    path = tuple(dotted.split("."))
    if len(path) > limits.WHERE_PATH_MAX or not all(map(_SEGMENT, path)):
        raise FilterRefused("the path is 1 to 8 segments of letters, digits, _ and -, joined by dots")
    if operator not in _OPERATORS:
        raise FilterRefused(f"the operator is one of {' '.join(_OPERATORS)}")
    value = _value(written)
    if not _TAKES[operator](value):
        raise FilterRefused(f"{operator} does not take a value of this type")
    return Condition(path, cast(Operator, operator), value)


def _value(written: str) -> Any:
    try:
        return json_content.normalise(pydantic_core.from_json(written))
    except ValueError as error:
        if _LOOKS_LIKE_JSON(written) or "\0" in written:
            raise FilterRefused("the value is no JSON") from error
        return written


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _is_ordered(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


_TAKES: dict[str, Callable[[Any], bool]] = {
    "eq": _is_scalar,
    "ne": _is_scalar,
    "lt": _is_ordered,
    "le": _is_ordered,
    "gt": _is_ordered,
    "ge": _is_ordered,
    "exists": lambda value: isinstance(value, bool),
}
