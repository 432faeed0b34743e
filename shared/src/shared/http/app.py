"""The one HTTP surface: `create_app(service)` makes a FastAPI application of a data layer."""

import asyncio
import gc
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uuid_utils
from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from shared.http import dashboard, documents, operations, users
from shared.http.bodies import ClientGone
from shared.http.cached import CachedBody
from shared.http.call import Answer, Call, State
from shared.http.problems import ProblemError, problem_of
from shared.http.routing import ContractRoute, RouteTable
from shared.registry import Service
from shared.rules import limits
from shared.rules.cursors import Cursors
from shared.settings import Settings
from shared.trips import current_trips

_log = logging.getLogger("assay.http")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,%d}" % limits.REQUEST_ID_MAX).fullmatch
_PROBLEM = (b"content-type", b"application/problem+json")


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
        for router in (users.router, documents.router, dashboard.router, operations.router):
            self.router.routes.extend(router.routes)
        self._table = RouteTable(self.routes)
        self._state: State | None = None

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        async with self._service.open_backend(self._settings) as backend:
            given = self._settings.cursor_secret
            secret = given.get_secret_value().encode() if given else await backend.cursor_secret()
            self._state = State(
                service=self._service,
                settings=self._settings,
                backend=backend,
                cursors=Cursors(secret),
                database_version=await backend.database_version(),
                dashboard=CachedBody(self._settings.dashboard_ttl),
            )
            # what start-up made lives as long as the process: no collection need walk it again
            gc.collect()
            gc.freeze()
            yield
            self._state = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._state is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        call = Call(scope, receive, self._state, time.perf_counter())
        call.request_id = _request_id(call)
        current_trips.set(call.trips)
        segments = tuple(scope["path"][1:].split("/"))
        by_method = self._table.find(segments)
        if by_method is None and self._is_added(scope):
            await super().__call__(scope, receive, send)
            return
        try:
            if by_method is None:
                raise ProblemError("not-found")
            answer = await self._answer(call, by_method, segments)
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
            answer = _answer_of(error, call)
        await _send(call, answer, send)

    def _is_added(self, scope: Scope) -> bool:
        """Whether a route beside the contract's answers: one that a user of this service added."""
        own = (route for route in self.routes if not isinstance(route, ContractRoute))
        return any(route.matches(scope)[0] is not Match.NONE for route in own)

    async def _answer(self, call: Call, by_method: dict[str, Any], segments: tuple[str, ...]) -> Answer:
        route = by_method.get(call.scope["method"])
        if route is None:
            allowed = ", ".join(sorted(by_method))
            raise ProblemError("method-not-allowed", headers=[(b"allow", allowed.encode())])
        async with asyncio.timeout(self._settings.request_timeout):
            answer: Answer = await route.respond(call, segments)
            return answer


def _request_id(call: Call) -> bytes:
    sent = call.header(b"x-request-id")
    if sent is not None:
        written = sent.encode("latin-1")
        if _REQUEST_ID(written):
            return written
    return str(uuid_utils.uuid4()).encode()


def _answer_of(error: Exception, call: Call) -> Answer:
    problem = problem_of(error)
    if problem is None:
        _log.error("request %s failed", call.request_id.decode(), exc_info=error)
        problem = ProblemError("internal")
    return Answer(problem.status, problem.body(call.scope["path"]), [_PROBLEM, *problem.headers])


async def _send(call: Call, answer: Answer, send: Send) -> None:
    headers = answer.headers
    headers.append((b"x-request-id", call.request_id))
    if call.state.settings.server_timing:
        spent = (time.perf_counter() - call.started) * 1000
        trips = call.trips
        timing = f'app;dur={spent:.3f}, db;dur={trips.seconds * 1000:.3f};desc="{trips.count}"'
        headers.append((b"server-timing", timing.encode()))
    start: Message = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
