"""A service's routes without the contract's extras: no request ids, no time limit, no Server-Timing, no
problems for errors. What the extras cost is the difference to the service itself."""

from starlette.types import Receive, Scope, Send

from shared.http.app import Surface
from shared.http.call import Call


class PlainSurface(Surface):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._state is None:
            await super().__call__(scope, receive, send)
            return
        call = Call(scope, receive, self._state, 0.0)
        segments = tuple(scope["path"][1:].split("/"))
        routes = self._table.find(segments)
        assert routes is not None
        answer = await routes[scope["method"]].respond(call, segments)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})
