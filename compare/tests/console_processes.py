"""A console, and services that answer as a test wants: real sockets, a process for each."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from assay.stand.ports import HOST, free_port

SECRET = "of-the-services-and-of-their-console"

SERVICE = """
import asyncio, json, os, sys, uuid
import uvicorn
port, told = int(sys.argv[1]), json.loads(sys.argv[2])
asked, announced, heard, targets, hung_up = [], [], [], [], 0
async def app(scope, receive, send):
    global hung_up
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"]
    if path == "/asked":
        answer = {"asked": asked, "announced": announced, "heard": heard, "hung_up": hung_up}
        answer["targets"] = targets
    elif path in ("/livez", "/readyz"):
        answer = {}
    else:
        asked.append([scope["method"], path, body.decode()])
        query = scope["query_string"]
        targets.append((scope["raw_path"] + (b"?" + query if query else b"")).decode())
        lengths = {b"content-length", b"transfer-encoding"}
        announced.append([name.decode() for name, _ in scope["headers"] if name in lengths])
        heard.append([[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]])
        if told.get("stall"):
            waiting = asyncio.ensure_future(receive())
            done, _ = await asyncio.wait({waiting}, timeout=told["stall"])
            if done:
                hung_up += 1
                return
        answer = {"id": str(uuid.uuid4()), "word": told.get("word", "same")}
        answer["text"] = "a" * told.get("letters", 0)
    status = 201 if scope["method"] == "POST" else told.get("status", 200)
    if len(asked) <= told.get("refused", 0):
        status = 503
    root = told.get("root", "")
    if status >= 400:
        answer["instance"] = root + path
    text, kind = json.dumps(answer).encode(), b"application/json"
    if path != "/asked":
        text = told.get("body", text.decode()).encode("latin-1")
        kind = told.get("kind", "application/json").encode()
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(text))]
    if status == 201:
        headers.append((b"location", f"{root}{path}/{answer['id']}".encode()))
    headers += [(name.encode(), value.encode("latin-1")) for name, value in told.get("headers", [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if asked and told.get("dies"):
        await send({"type": "http.response.body", "body": text[:9], "more_body": True})
        await asyncio.sleep(0.1)
        os._exit(0)
    if told.get("holds") and path == "/things":
        await send({"type": "http.response.body", "body": text[:9], "more_body": True})
        await asyncio.sleep(told["holds"])
        text = text[9:]
    await send({"type": "http.response.body", "body": text})
uvicorn.run(app, port=port, lifespan="off", log_config=None, access_log=False)
"""


@dataclass(frozen=True)
class Running:
    url: str
    process: asyncio.subprocess.Process

    async def asked(self) -> dict[str, Any]:
        """What a service of these was asked, at which target, how bodies were announced, with which headers,
        and how often a client hung up."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            found: dict[str, Any] = (await client.get(f"{self.url}/asked")).json()
        return found


@asynccontextmanager
async def service(**told: Any) -> AsyncIterator[Running]:
    """`stall`: seconds before each answer; `word`, `status`, `letters`: what it answers, or `body` of the
    type `kind`, a letter for each byte; `root`: its ROOT_PATH; `refused`: so many requests get 503 first;
    `dies`: in the middle of its first answer; `holds`: seconds in the middle of one; `headers`: more of them,
    in pairs."""
    async with _process(lambda port: ["-c", SERVICE, str(port), json.dumps(told)], {}) as running:
        yield running


@asynccontextmanager
async def console(
    urls: Mapping[str, str],
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> AsyncIterator[Running]:
    """`log`: where it writes what it complains of."""
    named = [f"--backend={name}={url}" for name, url in urls.items()]
    command = ["-m", "assay.console", *named, *arguments]
    async with _process(lambda port: [*command, "--port", str(port)], environment or {}, log) as running:
        yield running


@asynccontextmanager
async def raw_backend(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Its URL, and the heads of the requests that it heard; it answers to the letter, and hangs up."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, HOST, port):
        yield f"http://{HOST}:{port}", heard


async def exchanged(url: str, request: bytes) -> bytes:
    """What is answered to a request that is sent to the letter, but for the host and the end."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    line, _, rest = request.partition(b"\r\n")
    writer.write(line + b"\r\nHost: " + at.netloc.encode() + b"\r\nConnection: close\r\n" + rest)
    answer = await reader.read()
    writer.close()
    return answer


def client_of(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10)


async def choose(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/shadowing", json={"primary": "old", "secondary": "new"})
    assert answer.status_code == 200


async def state_of(client: httpx2.AsyncClient, name: str, least: int) -> dict[str, Any]:
    """Of the shadow, when a count, or the sum of one by operation, is as large."""
    state: dict[str, Any] = {}
    for _ in range(400):
        state = (await client.get("/shadowing")).json()
        count = state[name]
        if (sum(count.values()) if isinstance(count, dict) else count) >= least:
            return state
        await asyncio.sleep(0.05)
    raise AssertionError(state)


@asynccontextmanager
async def _process(
    arguments: Callable[[int], Sequence[str]], environment: Mapping[str, str], log: Path | None = None
) -> AsyncIterator[Running]:
    port = free_port()
    with open(log, "wb") if log else nullcontext() as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments(port), env={**os.environ, **environment}, stderr=stderr
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
