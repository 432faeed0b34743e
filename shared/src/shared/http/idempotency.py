"""Requests that may be repeated: their first answer is kept with its effect, and answered again (GEN-13)."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256

import orjson
import pydantic_core

from shared.errors import EmailTaken, NotFound, Refused, TransferConflict, UnknownOwner
from shared.http.bodies import AT_ONCE_BYTES, off_loop
from shared.http.call import JSON, Answer, Call
from shared.http.problems import PROBLEM_JSON, invalid, problem_of
from shared.ports.backend import UnitOfWork
from shared.rules import clock, limits
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from shared.schemas.problems import FieldError

HEADER = b"idempotency-key"

_KEY = re.compile(rf"[\x20-\x7e]{{1,{limits.IDEMPOTENCY_KEY_MAX}}}").fullmatch
_KEPT = (NotFound, EmailTaken, TransferConflict, UnknownOwner)
_REPLAYED = (b"idempotency-replayed", b"true")


def check_key(call: Call) -> list[FieldError]:
    """What is wrong with the key, if one was sent."""
    key = call.header(HEADER)
    if key is None or _KEY(key):
        return []
    msg = f"must be 1 to {limits.IDEMPOTENCY_KEY_MAX} printable ASCII characters"
    return [invalid("header", "Idempotency-Key", msg=msg, kind="idempotency_key")]


async def once(
    call: Call, effect: Callable[[UnitOfWork], Awaitable[Answer]], fingerprint: bytes | None = None
) -> Answer:
    """The answer of `effect`, which ran in a unit of work; under a key the kept one, if it ran before.
    `fingerprint` stands for the body where that is not JSON."""
    key = call.header(HEADER)
    if key is None:
        async with call.backend.unit_of_work() as work:
            return await effect(work)

    async def kept_effect(work: UnitOfWork) -> KeptAnswer:
        return _kept(await effect(work))

    request = _keyed(call, key, await _by_value(call) if fingerprint is None else fingerprint)
    kept, is_replayed = await call.backend.once(request, kept_effect, lambda error: _refusal(call, error))
    return _restored(kept, is_replayed=is_replayed)


def _keyed(call: Call, key: str, body: bytes) -> KeyedRequest:
    moment = clock.now()
    asked = b"\0".join([call.scope["method"].encode(), call.scope["path"].encode(), body])
    return KeyedRequest(
        key=sha256(f"{call.subject}\0{key}".encode()).digest(),
        fingerprint=sha256(asked).digest(),
        moment=moment,
        expired=moment - timedelta(hours=limits.KEPT_HOURS),
    )


async def _by_value(call: Call) -> bytes:
    """The same for all JSON texts of one value."""
    body = call.body
    if len(body) <= AT_ONCE_BYTES:
        return _canonical(body)
    return await off_loop(call, lambda: _canonical(body))


def _canonical(body: bytes) -> bytes:
    return orjson.dumps(pydantic_core.from_json(body), option=orjson.OPT_SORT_KEYS)


def _refusal(call: Call, error: Refused) -> KeptAnswer | None:
    problem = problem_of(error) if isinstance(error, _KEPT) else None
    if problem is None:
        return None
    return KeptAnswer(problem.status, None, None, problem.body(call.located(call.scope["path"])))


def _kept(answer: Answer) -> KeptAnswer:
    headers = {name: value.decode() for name, value in answer.headers}
    return KeptAnswer(answer.status, headers.get(b"location"), headers.get(b"etag"), answer.body)


def _restored(kept: KeptAnswer, *, is_replayed: bool) -> Answer:
    headers = [PROBLEM_JSON if kept.status >= 400 else JSON]
    named = ((b"location", kept.location), (b"etag", kept.etag))
    headers += [(name, value.encode()) for name, value in named if value is not None]
    if is_replayed:
        headers.append(_REPLAYED)
    return Answer(kept.status, kept.body, headers)
