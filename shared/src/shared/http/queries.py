"""Reads query strings: strict UTF-8, nothing unknown, nothing repeated that has one value."""

import re
from typing import Annotated, Any, TypeVar, get_origin
from urllib.parse import unquote_to_bytes

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from shared.http.problems import field_errors_of, invalid, is_shown
from shared.rules import limits
from shared.schemas.problems import FieldError
from shared.schemas.texts import Text

Query = TypeVar("Query", bound=BaseModel)


class NoQuery(BaseModel):
    """A query string of which nothing is known."""

    model_config = ConfigDict(extra="forbid")


def _limit(text: Any) -> Any:
    if isinstance(text, str) and not _LIMIT(text):
        raise ValueError(f"must be a number from 1 to {limits.PAGE_MAX}")
    return text


_LIMIT = re.compile(r"[1-9][0-9]{0,2}").fullmatch

Limit = Annotated[int, Field(ge=1, le=limits.PAGE_MAX), BeforeValidator(_limit)]
Cursor = Annotated[str, StringConstraints(min_length=1)]
SearchText = Annotated[Text, StringConstraints(max_length=limits.QUERY_TEXT_MAX)]


class NewestQuery(BaseModel):
    """Of collections that have one order, newest first, and no filters."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = limits.PAGE_DEFAULT
    cursor: Cursor | None = None


def read_query(raw: bytes, model: type[Query]) -> tuple[Query | None, list[FieldError]]:
    try:
        pairs = [_decoded(pair) for pair in raw.split(b"&") if pair]
    except UnicodeDecodeError:
        return None, [invalid("query", msg="is no UTF-8", kind="not_utf8")]
    values: dict[str, Any] = {}
    found: list[FieldError] = []
    for name, value in pairs:
        field = model.model_fields.get(name)
        if field is None:
            shown = (name,) if is_shown(name) else ()
            found.append(invalid("query", *shown, msg="is unknown", kind="extra_forbidden"))
        elif get_origin(field.annotation) is list:
            values.setdefault(name, []).append(value)
        elif name in values:
            found.append(invalid("query", name, msg="is repeated", kind="repeated"))
        else:
            values[name] = value
    if found:
        return None, found
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, field_errors_of(error, "query")


def _decoded(pair: bytes) -> tuple[str, str]:
    name, _, value = pair.replace(b"+", b" ").partition(b"=")
    return unquote_to_bytes(name).decode("utf-8"), unquote_to_bytes(value).decode("utf-8")
