"""Floors: the least that an answer can cost on each database, as arms beside the services.

`python -m assay.measure.floors NAME --port N` serves one, under the services' own uvicorn settings. A floor
has no validation, no framework and none of the contract's extras: what a service costs above it is what those
cost. It reads the tables of the asyncpg service and the collection of the motor service.
"""

import argparse
import asyncio
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import asyncpg
import orjson
import uvicorn
from motor.motor_asyncio import AsyncIOMotorClient

from assay.measure import null_backend
from assay.measure.plain_surface import PlainSurface
from shared.http.app import Surface
from shared.registry import services
from shared.settings import Settings, database_of, postgresql_url

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
Answer: TypeAlias = tuple[int, bytes]
Handler: TypeAlias = Callable[[str, str, Receive], Awaitable[Answer]]
Floor: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Handler]]
"""Opens what the floor needs; the handler takes method, path and the body's source."""

NOT_FOUND: Answer = (404, b'{"detail":"no such route"}')
STATIC = orjson.dumps(
    {
        "id": "01900000-0000-7000-8000-000000000000",
        "email": "ada@example.org",
        "name": "Ada Lovelace",
        "version": 1,
        "created_at": "2026-01-01T00:00:00.000000Z",
        "updated_at": "2026-01-01T00:00:00.000000Z",
    }
)

READ_USER = "SELECT id::text AS id, email, name, version, created_at, updated_at FROM users WHERE id = $1"
CREATE_USERS = """
INSERT INTO users (id, email, email_key, name, name_key, version, created_at, updated_at)
SELECT new.id, new.email, lower(new.email), new.name, lower(new.name), 1, now(), now()
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (id, email, name)
RETURNING id::text AS id, email, name, version, created_at, updated_at
"""


async def read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


@asynccontextmanager
async def bare(_settings: Settings) -> AsyncGenerator[Handler]:
    """No database at all: what uvicorn and a fixed answer of a user's size cost."""

    async def handle(_method: str, _path: str, _receive: Receive) -> Answer:
        return 200, STATIC

    yield handle


async def leave_as_is(_connection: object) -> None:
    """A floor leaves no session state behind, and the pool's own reset is a round trip."""


@asynccontextmanager
async def asyncpg_floor(settings: Settings) -> AsyncGenerator[Handler]:
    """One statement a request from asyncpg's own statement cache: `GET /users/{id}`, `POST /users/batch`."""
    async with asyncpg.create_pool(
        postgresql_url(settings.database_url),
        min_size=settings.pool_size,
        max_size=settings.pool_size,
        reset=leave_as_is,
    ) as pool:

        async def create(receive: Receive) -> Answer:
            users = orjson.loads(await read_body(receive))
            rows = await pool.fetch(
                CREATE_USERS,
                [uuid.uuid4() for _ in users],
                [user["email"] for user in users],
                [user["name"] for user in users],
            )
            return 201, orjson.dumps([dict(row) for row in rows], option=orjson.OPT_UTC_Z)

        async def handle(method: str, path: str, receive: Receive) -> Answer:
            if method == "POST" and path == "/users/batch":
                return await create(receive)
            if method != "GET" or not path.startswith("/users/"):
                return NOT_FOUND
            row = await pool.fetchrow(READ_USER, path[7:])
            return (200, orjson.dumps(dict(row), option=orjson.OPT_UTC_Z)) if row is not None else NOT_FOUND

        yield handle


@asynccontextmanager
async def motor_floor(settings: Settings) -> AsyncGenerator[Handler]:
    """One `find_one` by `_id` a request: `GET /users/{id}`."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        settings.mongodb_url,
        minPoolSize=settings.pool_size,
        maxPoolSize=settings.pool_size,
        uuidRepresentation="standard",
        tz_aware=True,
    )
    users = client[database_of(settings.mongodb_url)]["users"]
    fields = dict.fromkeys(("email", "name", "version", "created_at", "updated_at"), 1)

    async def handle(method: str, path: str, _receive: Receive) -> Answer:
        if method != "GET" or not path.startswith("/users/"):
            return NOT_FOUND
        found = await users.find_one({"_id": uuid.UUID(path[7:])}, fields)
        if found is None:
            return NOT_FOUND
        found["id"] = found.pop("_id")
        return 200, orjson.dumps(found, option=orjson.OPT_UTC_Z)

    try:
        yield handle
    finally:
        client.close()


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
        path = scope["path"]
        status, body = (200, b"{}") if path == "/readyz" else await handler(scope["method"], path, receive)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def http_surface(settings: Settings) -> Any:
    return Surface(null_backend.service, settings)


def plain(backend: str, settings: Settings) -> Any:
    return PlainSurface(services(backend)[0], settings)


FLOORS: dict[str, Callable[[Settings], Application]] = {
    "bare": partial(application, bare),
    "floor-asyncpg": partial(application, asyncpg_floor),
    "floor-motor": partial(application, motor_floor),
    "floor-http": http_surface,
    "asyncpg-plain": partial(plain, "asyncpg"),
}
"""Every floor's ASGI application by its arm's name; `bare` is the load generator's own target and no arm."""


def serve(name: str, host: str, port: int) -> None:
    """Serves until SIGINT or SIGTERM; the databases' URLs come from the environment, as for the services."""
    config = uvicorn.Config(
        FLOORS[name](Settings()),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve())


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve one floor of the comparison.")
    parser.add_argument("name", choices=sorted(FLOORS))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    serve(chosen.name, chosen.host, chosen.port)


if __name__ == "__main__":
    main()
