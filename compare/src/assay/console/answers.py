"""One request of the page, and how one backend answered it."""

import asyncio
import re
import time
from typing import Annotated, Any, Final

import httpx2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from assay.console.backends import Backend, Fleet
from assay.console.bodies import Kind, body_of
from assay.console.operations import OPERATIONS

BODY_SHOWN_BYTES: Final = 256 * 1024
"""Of a longer answer only the beginning is read."""

_SHOWN_HEADERS: Final = (
    "content-type", "etag", "location", "allow", "retry-after", "www-authenticate", "x-cache", "age",
    "idempotency-replayed", "content-disposition", "accept-ranges", "content-range",
)  # fmt: skip
_MOST_DIGITS: Final = 19
_TIMING = re.compile(r"(\w+)((?:;\s*\w+=[^;,]*)*)")
_REASONS: Final[dict[type[Exception], str]] = {
    httpx2.ConnectError: "cannot be reached",
    httpx2.RemoteProtocolError: "it hung up",
    httpx2.ReadError: "it hung up",
    httpx2.DecodingError: "its body is not encoded as it says",
}
_COLLECTION = re.compile(f"/(?:{'|'.join(sorted({one.path.split('/')[1] for one in OPERATIONS}))})/")
_NOT_GIVEN: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "authorization"})
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if _TOKEN(name) is None or not value.isascii() or not value.isprintable():
            raise ValueError(f"the header {name[:80]!r} is not of printable ASCII characters")
        if name.lower() in _NOT_GIVEN:
            raise ValueError(f"the header {name!r} is the console's own")
    return headers


class Wanted(BaseModel):
    """What the page asks for. `timeout` in seconds, for each backend."""

    model_config = ConfigDict(extra="forbid")

    method: Annotated[str, Field(pattern=r"^[A-Z]{1,16}$")]
    path: Annotated[str, Field(pattern=r"^/[^?#\s]*$", max_length=2_000)]
    query: Annotated[str, Field(max_length=4_000, pattern=r"^[^#\s]*$")] = ""
    headers: Annotated[dict[str, str], Field(max_length=32), AfterValidator(_sendable)] = {}
    body: Annotated[str, Field(max_length=1_000_000)] | None = None
    upload: bool = False
    timeout: Annotated[float, Field(gt=0, le=60)] = 5.0


class Timing(BaseModel):
    """What a service says of itself in `Server-Timing` (GEN-7); times in ms."""

    app: float | None = None
    db: float | None = None
    trips: int | None = None
    statements: int | None = None


class Shown(BaseModel):
    """`failure` says why there is no answer; then `status` is None. `ms` is the time seen by the console.
    `body` is a JSON value, where `content` is json; `text` is what the page shows; `cut`: there is more.
    `prefix` is what the service's own paths begin with, in `Location` and `instance`."""

    backend: str
    ms: float
    status: int | None = None
    failure: str | None = None
    headers: dict[str, str] = {}
    timing: Timing = Timing()
    content: Kind = "nothing"
    body: Annotated[Any, Field(exclude=True)] = None
    text: str | None = None
    cut: bool = False
    prefix: str = ""


async def answer_of(fleet: Fleet, backend: Backend, wanted: Wanted) -> Shown:
    """Never raises for what a backend does; cancelled, it closes its connection."""
    begun = time.perf_counter()
    try:
        async with (
            asyncio.timeout(wanted.timeout),
            fleet.client.stream(
                wanted.method,
                f"{backend.url}{wanted.path}{'?' if wanted.query else ''}{wanted.query}",
                headers={**_typed(wanted), **fleet.signer.headers()},
                **_content(wanted),
            ) as answer,
        ):
            body, cut = await beginning(answer, BODY_SHOWN_BYTES)
    except TimeoutError:
        return Shown(backend=backend.name, ms=since(begun), failure=f"no answer within {wanted.timeout:g} s")
    except (httpx2.RequestError, httpx2.InvalidURL, UnicodeError) as error:
        return Shown(backend=backend.name, ms=since(begun), failure=plain(error))
    asked = answer.request.url.path.removeprefix(backend.prefix)
    return shown_of(backend, asked, answer, body, since(begun), cut=cut)


def _typed(wanted: Wanted) -> dict[str, str]:
    """The headers; JSON is what a body is taken for that does not say what it is."""
    given = {name.lower(): value for name, value in wanted.headers.items()}
    return given if wanted.body is None or wanted.upload else {"content-type": "application/json", **given}


def _content(wanted: Wanted) -> dict[str, Any]:
    if wanted.body is None:
        return {}
    if wanted.upload:
        return {"files": {"file": ("notes.txt", wanted.body.encode(), "text/plain")}}
    return {"content": wanted.body.encode()}


async def beginning(answer: httpx2.Response, most: int) -> tuple[bytes, bool]:
    """So many bytes of the body, and whether there are more."""
    read = bytearray()
    async for chunk in answer.aiter_bytes():
        read += chunk
        if len(read) > most:
            return bytes(read[:most]), True
    return bytes(read), False


def shown_of(
    backend: Backend, asked: str, answer: httpx2.Response, body: bytes, ms: float, *, cut: bool = False
) -> Shown:
    """`asked`: the path, without what percent signs stand for."""
    taken = body_of(body, answer.headers.get("content-type", ""), cut=cut)
    return Shown(
        backend=backend.name,
        ms=ms,
        status=answer.status_code,
        headers={name: answer.headers[name] for name in _SHOWN_HEADERS if name in answer.headers},
        timing=timing_of(answer.headers.get("server-timing", "")),
        content=taken.kind,
        body=taken.value,
        text=taken.text,
        cut=cut,
        prefix=_prefix(backend, asked, answer, taken.value),
    )


def _prefix(backend: Backend, asked: str, answer: httpx2.Response, body: Any) -> str:
    """The service knows it by `ROOT_PATH`, the console from what the service answers: that of the URL only
    says how it is reached from here."""
    instance = body.get("instance") if isinstance(body, dict) else None
    if isinstance(instance, str) and instance.endswith(asked):
        return instance.removesuffix(asked)
    located = _COLLECTION.search(answer.headers.get("location", ""))
    return backend.prefix if located is None else located.string[: located.start()]


def timing_of(header: str) -> Timing:
    """
    >>> timing_of('app;dur=1.5, db;dur=0.75;desc="2", statements;desc="1"')
    Timing(app=1.5, db=0.75, trips=2, statements=1)
    >>> timing_of("")
    Timing(app=None, db=None, trips=None, statements=None)
    """
    found = {
        name: dict(pair.strip().partition("=")[::2] for pair in rest.split(";")[1:])
        for name, rest in _TIMING.findall(header)
    }
    return Timing(
        app=_number(found.get("app", {}).get("dur")),
        db=_number(found.get("db", {}).get("dur")),
        trips=_count(found.get("db", {}).get("desc")),
        statements=_count(found.get("statements", {}).get("desc")),
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _count(text: str | None) -> int | None:
    bare = (text or "").strip('"')
    # Python refuses to read a number of some thousand digits, and nothing is counted that far
    return int(bare) if bare.isdecimal() and len(bare) <= _MOST_DIGITS else None


def since(begun: float) -> float:
    """Milliseconds since a reading of `time.perf_counter`."""
    return round((time.perf_counter() - begun) * 1_000, 2)


def plain(error: Exception) -> str:
    """Why there is no answer, in the page's words."""
    return _REASONS.get(type(error), f"no answer ({type(error).__name__})")
