"""An arm that answers every request with one body, but each Nth with 500: `python fixed_arm.py PORT BODY N`.

A process of its own: beside the generator in one process it would seem to be a generator at its limit.
"""

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], object, Send], Awaitable[None]]

_WORK = 5_000
"""Additions for each request, about 0.1 ms: beside an arm that has less to do than the generator, that one is
at its limit whenever the machine is busy, and its slices are void."""


def answering(body: bytes, failing_every: int) -> App:
    asked = 0

    async def app(_scope: dict[str, Any], _receive: object, send: Send) -> None:
        nonlocal asked
        asked += 1
        sum(range(_WORK))
        status = 500 if failing_every and asked % failing_every == 0 else 200
        headers = [
            (b"content-length", b"%d" % len(body)),
            (b"server-timing", b'app;dur=1, db;dur=1;desc="2"'),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    port, body, failing_every = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
    uvicorn.run(answering(body, failing_every), port=port, lifespan="off", log_config=None, access_log=False)
