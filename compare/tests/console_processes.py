"""A console, and services that answer as a test wants: real sockets, a process for each."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from assay.stand.ports import HOST, free_port

SECRET = "of-the-services-and-of-their-console"

SERVICE = """
import asyncio, json, sys, uuid
import uvicorn
port, told = int(sys.argv[1]), json.loads(sys.argv[2])
asked, hung_up = [], 0
async def app(scope, receive, send):
    global hung_up
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"]
    if path == "/asked":
        answer = {"asked": asked, "hung_up": hung_up}
    elif path in ("/livez", "/readyz"):
        answer = {}
    else:
        asked.append([scope["method"], path, body.decode()])
        if told.get("stall"):
            waiting = asyncio.ensure_future(receive())
            done, _ = await asyncio.wait({waiting}, timeout=told["stall"])
            if done:
                hung_up += 1
                return
        answer = {"id": str(uuid.uuid4()), "word": told.get("word", "same")} | told.get("more", {})
    status = 201 if scope["method"] == "POST" else told.get("status", 200)
    text = json.dumps(answer).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
uvicorn.run(app, port=port, lifespan="off", log_config=None, access_log=False)
"""


@dataclass(frozen=True)
class Running:
    url: str
    process: asyncio.subprocess.Process

    async def asked(self) -> dict[str, Any]:
        """What a service of these was asked, and how often a client hung up."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            found: dict[str, Any] = (await client.get(f"{self.url}/asked")).json()
        return found


@asynccontextmanager
async def service(**told: Any) -> AsyncIterator[Running]:
    """`stall`: seconds before each answer; `word`, `status`, `more`: what it answers."""
    async with _process(lambda port: ["-c", SERVICE, str(port), json.dumps(told)], {}) as running:
        yield running


@asynccontextmanager
async def console(
    urls: Mapping[str, str], *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    named = [f"--backend={name}={url}" for name, url in urls.items()]
    command = ["-m", "assay.console", *named, *arguments]
    async with _process(lambda port: [*command, "--port", str(port)], environment or {}) as running:
        yield running


@asynccontextmanager
async def _process(
    arguments: Callable[[int], Sequence[str]], environment: Mapping[str, str]
) -> AsyncIterator[Running]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments(port), env={**os.environ, **environment}
    )
    running = Running(f"http://{HOST}:{port}", process)
    try:
        await _answering(running)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answering(running: Running) -> None:
    async with asyncio.timeout(30), httpx2.AsyncClient(trust_env=False) as client:
        while running.process.returncode is None:
            try:
                await client.get(f"{running.url}/livez")
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError(f"the process ended with {running.process.returncode}")
