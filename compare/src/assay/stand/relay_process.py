"""A relay in a process of its own, so that neither the load generator nor a service pays for it.

`python -m assay.stand.relay_process --to URL --port N` relays to the URL's database, or to RELAY_TO's, which
hides its password from the list of processes. It takes orders as JSON over HTTP on port N of the loopback
interface.
"""

import argparse
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import httpx2
import orjson
import uvicorn
import uvloop
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, PositiveFloat, ValidationError

from assay.stand.ports import HOST
from assay.stand.relay import Relay, open_relay
from assay.stand.stand import RunningService, Stand

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_ANSWER_SECONDS = 5.0


class Orders(BaseModel):
    """What to change, the rest stays: see `Relay`. `bandwidth` 0 lifts the limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delay_ms: NonNegativeFloat | None = None
    bandwidth: NonNegativeFloat | None = None
    stall_seconds: PositiveFloat | None = None
    reset_after: NonNegativeInt | None = None

    def give(self, relay: Relay) -> None:
        if self.delay_ms is not None:
            relay.delay_ms = self.delay_ms
        if self.bandwidth is not None:
            relay.bandwidth = self.bandwidth or None
        if self.stall_seconds is not None:
            relay.stall(self.stall_seconds)
        if self.reset_after is not None:
            relay.reset(self.reset_after)


@dataclass(frozen=True)
class RelayProcess:
    """url: the database's own, by way of the relay."""

    url: str
    running: RunningService
    _client: httpx2.AsyncClient

    async def order(self, orders: Orders) -> None:
        """Returns once the relay keeps to them."""
        answer = await self._client.put("/", content=orders.model_dump_json(exclude_defaults=True))
        answer.raise_for_status()

    async def close(self) -> None:
        await self._client.aclose()
        await self.running.stop()


async def start_relay(stand: Stand, name: str, to: str) -> RelayProcess:
    """A process of the stand's, which ends with it at the latest."""
    command = [sys.executable, "-m", "assay.stand.relay_process"]
    running = await stand.start_process(name, command, {"RELAY_TO": to})
    client = httpx2.AsyncClient(base_url=running.url, timeout=_ANSWER_SECONDS, trust_env=False)
    answer = await client.get("/readyz")
    return RelayProcess(orjson.loads(answer.content)["url"], running, client)


def _application(relay: Relay) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        status, told = 200, {"url": relay.url, "round_trips": relay.round_trips}
        if scope["method"] == "PUT":
            try:
                Orders.model_validate_json(await _body(receive)).give(relay)
            except ValidationError as error:
                status, told = 422, {"detail": str(error)}
        body = orjson.dumps(told)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


async def _serve(to: str, port: int) -> None:
    async with open_relay(to) as relay:
        config = uvicorn.Config(
            _application(relay), host=HOST, port=port, lifespan="off", access_log=False, log_level="warning"
        )
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description="Relay to a database; takes orders over HTTP.")
    parser.add_argument("--to", default=os.environ.get("RELAY_TO"), help="the database's URL")
    parser.add_argument("--port", type=int, required=True, help="where orders are taken")
    chosen = parser.parse_args()
    if not chosen.to:
        parser.error("give --to URL or set RELAY_TO")
    uvloop.run(_serve(chosen.to, chosen.port))


if __name__ == "__main__":
    main()
