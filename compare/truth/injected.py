"""A service with a known fault, for the cases that must find it.

`python injected.py NAME MODE VALUE serve --port N` serves the service NAME with one of these:

- `cpu`: VALUE µs of CPU burnt for each use of the data layer; `/burnt` tells what that truly came to;
- `wait`: VALUE ms waited there;
- `wrong`: VALUE % of the answered users and documents have another version;
- `fail`: VALUE % of the requests are answered with 500.

With VALUE 0 it is wrapped alike and has no fault: what the fault is measured against.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

from shared.http.app import create_app
from shared.ports.backend import Backend
from shared.registry import Service, services
from shared.serve import run
from shared.settings import Settings

Slow = Callable[[], Awaitable[None]]


class SlowBackend:
    """The backend, but for what happens before each use of it."""

    def __init__(self, backend: Backend, slow: Slow) -> None:
        self._backend = backend
        self._slow = slow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def reader(self) -> AbstractAsyncContextManager[Any]:
        return self._slowly(self._backend.reader())

    def unit_of_work(self) -> AbstractAsyncContextManager[Any]:
        return self._slowly(self._backend.unit_of_work())

    @asynccontextmanager
    async def _slowly(self, opening: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
        # before a connection is held: others would wait for it longer, which costs them more
        await self._slow()
        async with opening as opened:
            yield opened


def slowed(service: Service, slow: Slow) -> Service:
    @asynccontextmanager
    async def open_backend(settings: Settings) -> AsyncIterator[Any]:
        async with service.open_backend(settings) as backend:
            yield SlowBackend(backend, slow)

    return replace(service, open_backend=open_backend)


class Burning:
    """So many turns of a loop as took that long at the start. No clock is read while it burns: the call into
    the kernel would make what follows dearer. One use in `_LOOKS` is timed, as machines change speed."""

    _LOOKS = 16
    _TRIAL = 200_000

    def __init__(self, microseconds: float) -> None:
        began = time.thread_time_ns()
        self._burn(self._TRIAL)
        self._turns = int(self._TRIAL * microseconds * 1_000 / (time.thread_time_ns() - began))
        self._uses = 0
        self._seen_ns: list[int] = []

    async def __call__(self) -> None:
        self._uses += 1
        if self._uses % self._LOOKS:
            self._burn(self._turns)
            return
        began = time.thread_time_ns()
        self._burn(self._turns)
        self._seen_ns.append(time.thread_time_ns() - began)

    def _burn(self, turns: int) -> None:
        for _ in range(turns):
            pass

    def told(self, app: Any) -> Any:
        """The application, which also answers `/burnt` with the ns of a use since it was asked the last
        time."""

        async def telling(scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") != "/burnt":
                await app(scope, receive, send)
                return
            seen, self._seen_ns = self._seen_ns, []
            body = b"%d" % (sum(seen) // max(1, len(seen)))
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return telling


def waiting(milliseconds: float) -> Slow:
    async def wait() -> None:
        if milliseconds:
            await asyncio.sleep(milliseconds / 1_000)

    return wait


class Spoiled:
    """An application of which some answers are spoiled on their way out."""

    def __init__(self, app: Any, percent: float, *, failing: bool) -> None:
        self._app = app
        self._share = percent / 100
        self._failing = failing
        self._chance = random.Random(1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        open_path = scope.get("path") in ("/readyz", "/healthz")
        if scope["type"] != "http" or open_path or self._chance.random() >= self._share:
            await self._app(scope, receive, send)
            return

        async def spoil(message: dict[str, Any]) -> None:
            if self._failing and message["type"] == "http.response.start":
                message = {**message, "status": 500}
            elif not self._failing and message["type"] == "http.response.body":
                message = {**message, "body": message["body"].replace(b'"version":1', b'"version":2')}
            await send(message)

        await self._app(scope, receive, spoil)


def main() -> None:
    name, mode, written, *rest = sys.argv[1:]
    value = float(written)
    service = services(name)[0]
    app: Any
    if mode == "cpu":
        burning = Burning(value)
        app = burning.told(create_app(slowed(service, burning)))
    elif mode == "wait":
        app = create_app(slowed(service, waiting(value)))
    else:
        app = create_app(service)
        app = Spoiled(app, value, failing={"fail": True, "wrong": False}[mode])
    # uvicorn is started by the service's own rules, and finds this application under the name of its own
    module = ModuleType(f"{service.module}.app")
    module.__dict__["app"] = app
    sys.modules[module.__name__] = module
    sys.argv[1:] = rest
    run(service)


if __name__ == "__main__":
    main()
