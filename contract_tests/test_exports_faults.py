"""Exports that are left unread, given up, or lose their database (EXP-1)."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx2
import pytest
from api import Api
from builders import make_user, new_document
from expectations import Json, expect_gone, expect_problem, walk
from promptness import expect_prompt
from targets import Target

from assay.stand import Database, Stand

ALLOWED: Final = 2
POOL_TIMEOUT: Final = 1.0
STALL_TIMEOUT: Final = 3.0
EXPORT_TIMEOUT: Final = 4.0
FREED_WITHIN: Final = 1.0
POINT_READ: Final = 0.25
"""Seconds."""

DOCUMENTS: Final = 400
FILLER: Final = "x" * 60_000
"""24 MB in all: more than what sockets and a set of rows hold, so that the rest is read later."""


class Download:
    """A running export that is read as far as the test wants."""

    def __init__(self, response: httpx2.Response) -> None:
        self.response = response
        self._chunks = response.aiter_bytes(65_536)

    async def read(self, count: int = 1) -> bytes:
        return b"".join([await anext(self._chunks) for _ in range(count)])

    async def rest(self) -> bytes:
        """Raises RemoteProtocolError where the body has no clean end."""
        return b"".join([chunk async for chunk in self._chunks])


@dataclass(frozen=True)
class Shelf:
    """A service of its own whose exports are few and impatient, and an owner of much."""

    api: Api
    owner: Json

    @property
    def path(self) -> str:
        return f"/documents/export?format=ndjson&owner_id={self.owner['id']}"

    @asynccontextmanager
    async def download(self) -> AsyncIterator[Download]:
        """Holds little unread at this end."""
        transport = httpx2.AsyncHTTPTransport(
            socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)], trust_env=False
        )
        headers = {"Accept-Encoding": "identity", **self.api.authorization}
        async with httpx2.AsyncClient(
            base_url=self.api.url, transport=transport, timeout=30, headers=headers
        ) as client:
            async with client.stream("GET", self.path) as response:
                yield Download(response)

    async def is_free(self) -> bool:
        """Whether the exports' share has a connection left."""
        async with self.download() as download:
            return download.response.status_code == 200


@pytest.fixture(scope="module")
async def shelf(second_stand: Stand | None, target: Target) -> AsyncIterator[Shelf]:
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL keeps its own time")
    settings = {
        "EXPORT_CONNECTIONS": ALLOWED,
        "POOL_TIMEOUT": POOL_TIMEOUT,
        "STALL_TIMEOUT": STALL_TIMEOUT,
        "EXPORT_TIMEOUT": EXPORT_TIMEOUT,
    }
    environment = {name: str(value) for name, value in settings.items()}
    running = await second_stand.start_service(target.service, name="impatient", environment=environment)
    async with Api(target.name, running.url) as api:
        owner = await make_user(api)
        bodies = [new_document(owner["id"], content={"text": FILLER}) for _ in range(DOCUMENTS // 2)]
        for _ in range(2):
            assert (await api.post("/documents/batch", json=bodies)).status_code == 201
        yield Shelf(api, owner)
    await running.stop()


@pytest.mark.clause("EXP-1")
async def test_an_export_is_of_one_moment(shelf: Shelf) -> None:
    before = await walk(shelf.api, "/documents", {"owner_id": shelf.owner["id"]})
    last, middle = before[-1], before[DOCUMENTS // 2]
    async with shelf.download() as download:
        begun = await download.read()
        expect_gone(await shelf.api.delete(f"/documents/{last['id']}"))
        change = {"title": "changed meanwhile"}
        patched = await shelf.api.patch(f"/documents/{middle['id']}", json=change, headers={"If-Match": "*"})
        assert patched.status_code == 200
        body = new_document(shelf.owner["id"], content={"text": FILLER})
        assert (await shelf.api.post("/documents", json=body)).status_code == 201
        body_of_all = begun + await download.rest()
    assert [json.loads(line) for line in body_of_all.splitlines()] == before


@pytest.mark.clause("EXP-1", "OPS-5")
async def test_stalled_readers_hold_up_nobody_but_further_exports(shelf: Shelf) -> None:
    async with AsyncExitStack() as stack:
        stalled = [await stack.enter_async_context(shelf.download()) for _ in range(ALLOWED)]
        assert [download.response.status_code for download in stalled] == [200] * ALLOWED
        further = asyncio.create_task(_refused_after(shelf))
        took = sorted([await _point_read(shelf) for _ in range(100)])
        assert POOL_TIMEOUT * 0.9 < await further < STALL_TIMEOUT
        # a few are late where the machine stands still
        assert took[-5] < POINT_READ, took[-7:]


async def _refused_after(shelf: Shelf) -> float:
    started = time.monotonic()
    refused = await shelf.api.get("/users/export?format=csv")
    expect_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"]
    return time.monotonic() - started


async def _point_read(shelf: Shelf) -> float:
    started = time.monotonic()
    assert (await shelf.api.get(f"/users/{shelf.owner['id']}")).status_code == 200
    return time.monotonic() - started


@pytest.mark.clause("EXP-1", "OPS-5")
async def test_a_reader_who_hangs_up_frees_the_connection_soon(shelf: Shelf) -> None:
    async def hang_up() -> tuple[float]:
        async with AsyncExitStack() as stack:
            for _ in range(ALLOWED):
                download = await stack.enter_async_context(shelf.download())
                await download.read()
        left = time.monotonic()
        async with asyncio.timeout(20):
            while not await shelf.is_free():
                pass
        return (time.monotonic() - left,)

    for _ in range(3):
        await expect_prompt(hang_up, FREED_WITHIN)


@pytest.mark.clause("EXP-1")
async def test_a_reader_who_stalls_too_long_is_broken_off(shelf: Shelf) -> None:
    async with AsyncExitStack() as stack:
        stalled = [await stack.enter_async_context(shelf.download()) for _ in range(ALLOWED)]
        await asyncio.sleep(STALL_TIMEOUT + 1)
        async with asyncio.timeout(20):
            while not await shelf.is_free():
                await asyncio.sleep(0.05)
        for download in stalled:
            with pytest.raises(httpx2.RemoteProtocolError):
                await download.rest()


@pytest.mark.clause("EXP-1")
async def test_an_export_that_takes_too_long_is_broken_off(shelf: Shelf) -> None:
    async with shelf.download() as download:
        started = time.monotonic()
        while time.monotonic() - started < EXPORT_TIMEOUT:
            await download.read()
            await asyncio.sleep(0.1)
        with pytest.raises(httpx2.RemoteProtocolError):
            await download.rest()
    assert await shelf.is_free()


@pytest.mark.clause("EXP-1", "OPS-5")
async def test_an_export_that_loses_its_database_has_no_clean_end(shelf: Shelf, mortal: Database) -> None:
    async with shelf.download() as download:
        await download.read()
        await mortal.kill()
        with pytest.raises(httpx2.RemoteProtocolError):
            await download.rest()
    refused = await shelf.api.get("/users/export?format=csv")
    assert refused.status_code in (503, 504)
    await mortal.start()
    async with asyncio.timeout(20):
        while not await shelf.is_free():
            await asyncio.sleep(0.05)
