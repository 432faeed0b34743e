"""The one HTTP surface: `create_app(service)` makes a FastAPI application of a data layer."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from shared.http import (
    activity,
    attachments,
    dashboard,
    documents,
    events,
    exports,
    notifications,
    operations,
    reports,
    rooms,
    users,
)
from shared.http.access import OPEN_PATHS, check_address, check_scope
from shared.http.bodies import ClientGone
from shared.http.call import Answer, Call, Streamed, request_id_of
from shared.http.problems import PROBLEM_JSON, ProblemError, problem_of
from shared.http.rooms import talk
from shared.http.routing import ContractRoute, RouteTable
from shared.http.state import State, open_state
from shared.http.streaming import send_stream
from shared.registry import Service
from shared.settings import Settings
from shared.starting import why_not_started
from shared.trips import current_trips

_log = logging.getLogger("assay.http")
_READING = ("GET", "HEAD")
_FAMILIES = (
    users,
    documents,
    attachments,
    activity,
    notifications,
    exports,
    reports,
    dashboard,
    events,
    rooms,
    operations,
)


def create_app(service: Service) -> FastAPI:
    return Surface(service, Settings())


class Surface(FastAPI):
    """Answers contract routes itself, on the short way; every other route that somebody adds is FastAPI's."""

    def __init__(self, service: Service, settings: Settings) -> None:
        super().__init__(
            title=service.title,
            version=operations.CONTRACT_VERSION,
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,
        )
        self._service = service
        self._settings = settings
        for family in _FAMILIES:
            self.router.routes.extend(family.router.routes)
        self._table = RouteTable(self.routes)
        self._state: State | None = None
        self._refusal: str | None = None

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                self._state = await stack.enter_async_context(open_state(self._service, self._settings))
            except Exception as error:
                self._refusal = why_not_started(self._service, error)
                raise
            # what start-up made lives as long as the process: no collection need walk it again
            gc.collect()
            gc.freeze()
            try:
                yield
            finally:
                self._state = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._state is None or scope["type"] == "lifespan":
            await super().__call__(scope, receive, self._telling(send))
            return
        if scope["type"] == "websocket":
            await self._connect(self._state, scope, receive, send)
            return
        scope["app"] = self
        call = Call(scope, receive, self._state, time.perf_counter())
        call.request_id = request_id_of(call.header(b"x-request-id")).encode()
        current_trips.set(call.trips)
        segments = tuple(scope["path"][1:].split("/"))
        by_method = self._table.find(segments)
        route = None if by_method is None else by_method.get(scope["method"])
        try:
            if scope["path"] not in OPEN_PATHS:
                if self._state.access is None:
                    check_address(scope)
                else:
                    call.subject, call.scopes = self._state.access.holder(call.header(b"authorization"))
            if by_method is None and self._is_added(scope):
                check_scope(call.scopes, scope["method"])
                answer = None
            else:
                answer = await self._answer(call, by_method, route, segments)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
            answer = _answer_of(error, call)
        if answer is None:
            await super().__call__(scope, receive, send)
            return
        self._state.metrics.count(route, answer.status, call)
        try:
            await _send(call, answer, send)
        finally:
            if answer.background is not None:
                await answer.background()

    def _telling(self, send: Send) -> Send:
        """Says in one line why the process cannot start, where Starlette would send a trace."""

        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self._refusal is not None:
                message = {**message, "message": self._refusal}
            await send(message)

        return tell

    def _is_added(self, scope: Scope) -> bool:
        """Whether a route beside the contract's answers: one that a user of this service added."""
        own = (route for route in self.routes if not isinstance(route, ContractRoute))
        return any(route.matches(scope)[0] is not Match.NONE for route in own)

    async def _connect(self, state: State, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/ws":
            await talk(state, WebSocket(scope, receive, send))
        else:
            await super().__call__(scope, receive, send)

    async def _answer(
        self,
        call: Call,
        by_method: dict[str, ContractRoute] | None,
        route: ContractRoute | None,
        segments: tuple[str, ...],
    ) -> Answer:
        if by_method is None:
            raise ProblemError("not-found")
        if route is None:
            allowed = ", ".join(sorted(by_method))
            raise ProblemError("method-not-allowed", headers=[(b"allow", allowed.encode())])
        async with asyncio.timeout(self._settings.request_timeout):
            answer = await route.respond(call, segments)
        if call.scope["method"] not in _READING and answer.status < 300:
            call.state.feed.changed()
        return answer


def _answer_of(error: Exception, call: Call) -> Answer:
    problem = problem_of(error)
    if problem is None:
        _log.error("request %s failed", call.request_id.decode(), exc_info=error)
        problem = ProblemError("internal")
    body = problem.body(call.located(call.scope["path"]))
    return Answer(problem.status, body, [PROBLEM_JSON, *problem.headers])


async def _send(call: Call, answer: Answer, send: Send) -> None:
    headers = answer.headers
    headers.append((b"x-request-id", call.request_id))
    if call.state.settings.server_timing:
        spent = (time.perf_counter() - call.started) * 1000
        trips = call.trips
        timing = (
            f'app;dur={spent:.3f}, db;dur={trips.seconds * 1000:.3f};desc="{trips.count}", '
            f'statements;desc="{trips.statements}"'
        )
        headers.append((b"server-timing", timing.encode()))
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    if isinstance(answer, Streamed):
        with call.state.metrics.streaming(answer):
            await send_stream(call, answer, send)
    else:
        await send({"type": "http.response.body", "body": answer.body})
