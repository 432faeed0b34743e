"""A large file up and down, measured: memory and point reads beside it (FIL-1, FIL-2)."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

# the suite is no package: its modules are found beside this folder
sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx2
import psutil
from figures import Figure, percentile_99, resident, show
from rich.console import Console

from assay.stand import Stand, StandError, StandOptions, open_stand, run_until_stopped
from shared.registry import Service, names, services

MEGABYTES: Final = 200
MEMORY_MIB: Final = 24.0
POINT_READ_P99_MS: Final = 250.0
STALLED_SECONDS: Final = 3.0

CHUNK: Final = os.urandom(64 * 1024)
HEAD: Final = b'--b\r\nContent-Disposition: form-data; name="file"; filename="large"\r\n\r\n'
END: Final = b"\r\n--b--\r\n"


async def form(size: int) -> AsyncIterator[bytes]:
    yield HEAD
    for start in range(0, size, len(CHUNK)):
        yield CHUNK[: size - start]
    yield END


def digest(size: int) -> str:
    whole, rest = divmod(size, len(CHUNK))
    hashed = sha256()
    for _ in range(whole):
        hashed.update(CHUNK)
    hashed.update(CHUNK[:rest])
    return hashed.hexdigest()


class Drill:
    """One service, and a document to attach to."""

    def __init__(self, client: httpx2.AsyncClient, process: psutil.Process, document: str, size: int) -> None:
        self._client = client
        self._process = process
        self._document = document
        self._size = size

    async def figures(self, name: str) -> list[Figure]:
        for _ in range(3):
            await self._read(await self._upload(1_000_000))
        before = self._process.memory_info().rss
        found: list[Figure] = []
        attachment = ""
        for what in ("up", "down", "unread for 3 s"):
            async with resident(self._process) as seen, self._reading() as reads:
                started = time.perf_counter()
                if what == "up":
                    attachment = await self._upload(self._size)
                elif what == "down":
                    await self._read(attachment)
                else:
                    await self._stall(attachment)
                took = time.perf_counter() - started
            found.append(Figure(name, f"{what}: seconds", took, "s"))
            found.append(
                Figure(name, f"{what}: memory growth", (max(seen) - before) / 2**20, "MiB", MEMORY_MIB)
            )
            p99 = percentile_99(reads) * 1e3
            found.append(Figure(name, f"{what}: point read p99 meanwhile", p99, "ms", POINT_READ_P99_MS))
        return found

    async def _upload(self, size: int) -> str:
        length = len(HEAD) + size + len(END)
        headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(length)}
        path = f"/documents/{self._document}/attachments"
        answer = (await self._client.post(path, content=form(size), headers=headers)).raise_for_status()
        attachment = answer.json()
        assert (attachment["size"], attachment["sha256"]) == (size, digest(size)), attachment
        return str(attachment["id"])

    async def _read(self, attachment: str) -> None:
        hashed = sha256()
        async with self._client.stream("GET", f"/attachments/{attachment}") as response:
            async for some in response.raise_for_status().aiter_raw():
                hashed.update(some)
        assert response.headers["etag"] == f'"{hashed.hexdigest()}"', "the bytes are others"

    async def _stall(self, attachment: str) -> None:
        async with self._client.stream("GET", f"/attachments/{attachment}") as response:
            response.raise_for_status()
            await asyncio.sleep(STALLED_SECONDS)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[list[float]]:
        """Seconds of point reads, one after another while entered."""
        seconds: list[float] = []

        async def read() -> None:
            while True:
                started = time.perf_counter()
                (await self._client.get(f"/documents/{self._document}")).raise_for_status()
                seconds.append(time.perf_counter() - started)
                await asyncio.sleep(0.02)

        reading = asyncio.create_task(read())
        try:
            yield seconds
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def drill(service: Service, stand: Stand, megabytes: int) -> list[Figure]:
    size = megabytes * 1_000_000
    running = await stand.start_service(service, name="drill", environment={"MAX_UPLOAD_BYTES": str(size)})
    async with httpx2.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as client:
        owner = (await client.post("/users", json={"email": "ada@example.org", "name": "Ada"})).json()
        document = (await client.post("/documents", json={"owner_id": owner["id"], "title": "T"})).json()
        measured = Drill(client, psutil.Process(running.pid), document["id"], size)
        return await measured.figures(service.name)


async def run(chosen: Sequence[str], megabytes: int, console: Console) -> list[Figure]:
    figures: list[Figure] = []
    for service in services(*chosen):
        # one after another: each has the machine for itself
        with console.status(f"{service.name}: {megabytes} MB up and down"):
            async with open_stand([service], StandOptions(durable=False)) as stand:
                figures += await drill(service, stand, megabytes)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="drill upload", description=__doc__)
    parser.add_argument("--service", action="append", choices=names(), help="repeatable; all, if left out")
    parser.add_argument("--megabytes", type=int, default=MEGABYTES)
    chosen = parser.parse_args(argv)
    console = Console()
    try:
        figures = asyncio.run(run_until_stopped(run(chosen.service or names(), chosen.megabytes, console)))
    except StandError as error:
        console.print(f"drill upload: {error}", style="red", markup=False)
        return 2
    return show("upload", figures, console)


if __name__ == "__main__":
    sys.exit(main())
