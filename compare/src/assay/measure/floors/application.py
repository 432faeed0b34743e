"""A bare ASGI application around a handler: bodies read, answers sent, nothing else."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, TypeAlias

import orjson

from shared.settings import Settings

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class Answer(NamedTuple):
    """`version` becomes the ETag, where there is one."""

    status: int
    body: bytes
    version: int | None = None


Handler: TypeAlias = Callable[[Message, Receive], Awaitable[Answer]]
"""Takes the request's scope and its body's source."""
Floor: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Handler]]
"""Opens what the floor needs."""

NOT_FOUND = Answer(404, b'{"detail":"no such route or row"}')
CHANGED = Answer(412, b'{"detail":"no such row in this version"}')


async def read_json(receive: Receive) -> Any:
    body = bytearray()
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return orjson.loads(body)


def written(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z)


def listed(rows: Sequence[object]) -> bytes:
    return written({"items": rows})


def if_match(scope: Message) -> int:
    """The version in the request's `If-Match`, which must be there."""
    tag: bytes = dict(scope["headers"])[b"if-match"]
    return int(tag.strip(b'"'))


def application(floor: Floor, settings: Settings) -> Application:
    """The ASGI application of a floor; what it needs is open between the lifespan's start and end."""
    handler: Handler | None = None

    async def lifespan(receive: Receive, send: Send) -> None:
        nonlocal handler
        await receive()
        async with floor(settings) as handler:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        assert handler is not None
        is_probe = scope["path"] == "/readyz"
        status, body, version = Answer(200, b"{}") if is_probe else await handler(scope, receive)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        if version is not None:
            headers.append((b"etag", b'"%d"' % version))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
