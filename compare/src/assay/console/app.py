"""The page, and what it asks for."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from assay.console.answers import Wanted
from assay.console.backends import (
    Backend,
    Fleet,
    Signer,
    UnknownBackend,
    cancelled_and_awaited,
    passing_client,
    pooled_client,
)
from assay.console.fanout import ask_all
from assay.console.guard import PROBE, SHADOW, Guard
from assay.console.live import Live
from assay.console.operations import OPERATIONS
from assay.console.race import READING, Races, run_races
from assay.console.relayed import NotPassable, relayed
from assay.console.relaying import NoAnswer, passed_on
from assay.console.rows import Rows
from assay.console.settings import ConsoleSettings, revealed
from assay.console.shadow import Shadow, Shadowing, State
from shared.work.stopping import Stopping, noticing_stop

PAGE = Path(__file__).parent / "page"
GRACE_SECONDS = 5.0

Value = TypeVar("Value")
Told = TypeVar("Told", bound=BaseModel)

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class Console:
    """What lives as long as the process."""

    def __init__(self, fleet: Fleet, stopping: Stopping) -> None:
        self.fleet = fleet
        self.stopping = stopping
        self.rows = Rows(fleet)
        self.live = Live(fleet)
        self.shadow = Shadow(fleet)


def _console(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


Here = Annotated[Console, Depends(_console)]


def make_app(backends: Mapping[str, Backend], settings: ConsoleSettings) -> FastAPI:
    secret = revealed(settings.auth_secret)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with pooled_client(backends) as client, passing_client() as passing:
            with noticing_stop(GRACE_SECONDS) as stopping:
                fleet = Fleet(backends, client, passing, Signer(secret))
                app.state.console = console = Console(fleet, stopping)
                async with console.shadow.working():
                    yield

    app = FastAPI(title="Assay console", lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.add_middleware(Guard, password=revealed(settings.console_password), secret=secret)
    app.get("/", include_in_schema=False)(_page)
    app.get(PROBE)(_liveness)
    app.get("/setting")(_setting)
    app.post("/send")(_send)
    app.post("/rows")(_new_rows)
    app.post("/races")(_race)
    app.get("/live", response_class=EventSourceResponse)(_follow)
    app.get("/shadowing")(_shadowing)
    app.post("/shadowing")(_choose)
    app.get("/shadowing/differences.jsonl")(_differences)
    app.api_route(SHADOW + "{path:path}", methods=_METHODS, response_model=None)(_shadow)
    app.mount("/page", StaticFiles(directory=PAGE))
    return app


async def _page() -> FileResponse:
    return FileResponse(PAGE / "console.html")


async def _liveness() -> PlainTextResponse:
    return PlainTextResponse("ok\n")


async def _setting(here: Here) -> dict[str, Any]:
    """What the page is about."""
    return {"backends": list(here.fleet.backends), "operations": OPERATIONS}


async def _send(wanted: Wanted, here: Here) -> Response:
    """Answers as they come, then what they differ in, one JSON value for each line."""
    return _lines(ask_all(here.fleet, here.rows, wanted), here.stopping)


async def _new_rows(here: Here) -> Response:
    here.rows.begin_anew()
    return Response(status_code=204)


async def _race(wanted: Races, here: Here) -> Response:
    if wanted.method not in READING:
        raise HTTPException(422, "Only GET and HEAD are raced: a write that is cancelled may hold or not.")
    return _lines(run_races(here.fleet, here.rows, wanted), here.stopping)


async def _follow(here: Here) -> AsyncIterator[ServerSentEvent]:
    async with aclosing(_until(here.live.pulses(), here.stopping)) as pulses:
        async for latest in pulses:
            yield ServerSentEvent(event="pulses", data=[pulse.model_dump() for pulse in latest])
    yield ServerSentEvent(event="stopping", data=None)


async def _shadowing(here: Here) -> State:
    return here.shadow.state()


async def _choose(chosen: Shadowing, here: Here) -> State:
    try:
        here.shadow.choose(chosen)
    except (UnknownBackend, ValueError) as error:
        raise HTTPException(422, str(error)) from None
    return here.shadow.state()


async def _differences(here: Here) -> Response:
    lines = "".join(f"{told.model_dump_json()}\n" for told in here.shadow.told)
    headers = {"content-disposition": 'attachment; filename="differences.jsonl"'}
    return Response(lines, media_type="application/jsonl", headers=headers)


async def _shadow(request: Request, here: Here) -> Response:
    """The primary's answer; the secondary gets the request when the client has it."""
    written = request.scope["raw_path"].decode("latin-1")
    if not written.startswith(SHADOW):
        raise HTTPException(404, "Write the beginning of the path without percent signs.")
    primary = here.shadow.primary
    if primary is None:
        raise HTTPException(503, "Choose a primary and a secondary backend on the console's page first.")
    try:
        asked_for = relayed(request, written.removeprefix(SHADOW[:-1]))
        return await passed_on(here.fleet, primary, request, asked_for, here.shadow.follow, here.stopping)
    except NotPassable as error:
        raise HTTPException(400, f"This cannot be passed on: {error}.") from None
    except NoAnswer as error:
        raise HTTPException(502, f"The primary backend gave no answer: {error}.") from None


def _lines(values: AsyncGenerator[Told], stopping: Stopping) -> StreamingResponse:
    async def written() -> AsyncIterator[bytes]:
        async with aclosing(_until(values, stopping)) as until:
            async for value in until:
                kind = {"kind": type(value).__name__.lower()}
                yield orjson.dumps(kind | value.model_dump(), option=orjson.OPT_APPEND_NEWLINE)

    return StreamingResponse(written(), media_type="application/jsonl")


async def _until(values: AsyncGenerator[Value], stopping: Stopping) -> AsyncGenerator[Value]:
    """What comes before the process is told to stop; then what makes the values is cancelled and awaited."""
    stopped = asyncio.ensure_future(stopping.wait())
    coming: asyncio.Future[Value] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(values))
            await asyncio.wait({coming, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return
            try:
                value = coming.result()
            except StopAsyncIteration:
                return
            yield value
    finally:
        await cancelled_and_awaited([stopped] if coming is None else [stopped, coming])
        await values.aclose()
