"""Reads JSON bodies in the contract's order of checks: 413, 415, 400, then 422."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from shared.http.call import Call
from shared.http.problems import ProblemError, field_errors_of, invalid
from shared.rules import limits
from shared.schemas.problems import FieldError

Body = TypeVar("Body")
Result = TypeVar("Result")

JSON_ONLY = frozenset({"application/json"})
JSON_OR_MERGE_PATCH = JSON_ONLY | {"application/merge-patch+json"}


AT_ONCE_BYTES = 256 * 1024
"""Some milliseconds' worth."""


class ClientGone(Exception):
    """The client hung up before its request was whole; nobody is there to answer."""


async def read_json(
    call: Call, media_types: frozenset[str], adapter: TypeAdapter[Body]
) -> tuple[Body | None, list[FieldError]]:
    """The body as the rules have it, or why it breaks one although it is JSON."""
    call.body = body = await _read(call)
    media_type = (call.header(b"content-type") or "").partition(";")[0].strip(" \t").lower()
    if media_type not in media_types:
        raise ProblemError("unsupported-media-type", f"Send the body as {' or '.join(sorted(media_types))}.")
    if len(body) <= AT_ONCE_BYTES:
        return _judged(adapter, body)
    return await off_loop(call, lambda: _judged(adapter, body))


async def off_loop(call: Call, work: Callable[[], Result]) -> Result:
    """What `work` returns; one at a time, so that what it builds to throw away is there once. A parser holds
    the interpreter until it is done: of the 16 MiB that a body may have, mostly text, some milliseconds; of
    nothing but brackets, a second."""
    async with call.state.cpu_turn:
        return await asyncio.get_running_loop().run_in_executor(call.state.cpu, work)


def _judged(adapter: TypeAdapter[Body], body: bytes) -> tuple[Body | None, list[FieldError]]:
    try:
        value = pydantic_core.from_json(body)
    except ValueError:
        return None, [_why_refused(body)]
    return _validated(adapter, value)


def _validated(adapter: TypeAdapter[Body], value: Any) -> tuple[Body | None, list[FieldError]]:
    crowded = _crowded(value)
    if crowded is not None:
        return None, [crowded]
    try:
        return adapter.validate_python(value), []
    except ValidationError as error:
        return None, field_errors_of(error, "body")


def _crowded(value: Any) -> FieldError | None:
    """Nothing that the API takes has as many members: each would be a finding of its own."""
    if isinstance(value, dict):
        return _too_many("body") if len(value) > limits.MEMBERS_MAX else None
    if isinstance(value, list):
        for place, item in enumerate(value[: limits.BATCH_MAX]):
            if isinstance(item, dict) and len(item) > limits.MEMBERS_MAX:
                return _too_many("body", place)
    return None


def _too_many(*loc: str | int) -> FieldError:
    return invalid(*loc, msg=f"has more than {limits.MEMBERS_MAX} members", kind="too_many_members")


async def _read(call: Call) -> bytes:
    # the connection stays open after a 413: closing it amid the body would reset it, and lose the answer
    length = call.header(b"content-length")
    if length is not None and int(length) > limits.BODY_MAX_BYTES:
        raise ProblemError("payload-too-large")
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await call.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.BODY_MAX_BYTES:
            raise ProblemError("payload-too-large")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _why_refused(body: bytes) -> FieldError:
    """The fast parser refused the body: it is either outside the JSON grammar (400), or JSON that no backend
    can hold (lone surrogates, endless digits, bottomless nesting). The patient parser knows which."""
    try:
        text = body.decode("utf-8")
        if text.startswith("\ufeff"):
            raise ProblemError("malformed-json", "The body starts with a byte order mark.")
        json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ProblemError("malformed-json") from error
    except RecursionError:
        return invalid("body", msg="is nested too deep", kind="json_too_deep")
    except ValueError:
        return invalid("body", msg="holds a number with too many digits", kind="json_number")
    return invalid("body", msg="holds a lone surrogate or is nested too deep", kind="json_unstorable")
