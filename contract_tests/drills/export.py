"""A large export, measured: memory, the first byte, point reads beside it, and who hangs up (EXP-1).

The rows are written into the database itself: through the API it would take longer than all the rest.
"""

import argparse
import asyncio
import itertools
import sys
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import httpx2
import psutil
from motor.motor_asyncio import AsyncIOMotorClient
from rich.console import Console
from rich.table import Table

from assay.stand import Stand, StandError, StandOptions, open_stand, run_until_stopped
from shared.registry import Service, names, services
from shared.rules.ids import new_id

ROWS: Final = 1_000_000
AT_ONCE: Final = 50_000

MEMORY_MIB: Final = 16.0
FIRST_BYTE_MS: Final = 200.0
POINT_READ_P99_MS: Final = 250.0
FREED_S: Final = 1.0

EXPORTS_ALLOWED: Final = 2
POINT_READS: Final = 500
PAUSE: Final = 0.02
"""Seconds between two looks at the memory, and between two point reads."""

COLUMNS: Final = ("id", "email", "email_key", "name", "name_key", "version", "created_at", "updated_at")


class Figure(NamedTuple):
    """One row of the table. Without a limit it only tells."""

    service: str
    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def is_kept(self) -> bool:
        return self.limit is None or self.value <= self.limit


# -- rows


def users(count: int) -> Iterator[tuple[Any, ...]]:
    """Rows of `COLUMNS`, about 150 bytes each, a millisecond apart."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(count):
        email, name = f"user{number}@seed.example", f"User {number} of the large export"
        moment = first + timedelta(milliseconds=number)
        yield new_id(), email, email, name, name.lower(), 1, moment, moment


async def seed(service: Service, url: str, count: int) -> None:
    """Writes the rows; the change feed does not hear of them."""
    rows = users(count)
    sets = iter(lambda: list(itertools.islice(rows, AT_ONCE)), [])
    if service.database == "postgresql":
        await _seed_postgresql(url, sets)
    else:
        await _seed_mongodb(url, sets)


async def _seed_postgresql(url: str, sets: Iterator[list[tuple[Any, ...]]]) -> None:
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("ALTER TABLE users DISABLE TRIGGER USER")
        for some in sets:
            await conn.copy_records_to_table("users", records=some, columns=COLUMNS)
        await conn.execute("ALTER TABLE users ENABLE TRIGGER USER")
        await conn.execute("ANALYZE users")
    finally:
        await conn.close()


async def _seed_mongodb(url: str, sets: Iterator[list[tuple[Any, ...]]]) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(url, uuidRepresentation="standard")
    fields = ("_id", *COLUMNS[1:])
    try:
        for some in sets:
            rows = [dict(zip(fields, row, strict=True)) for row in some]
            await client.get_default_database()["users"].insert_many(rows, ordered=False)
    finally:
        client.close()


# -- measurements


@dataclass
class Watched:
    """What is seen of a service while something goes on: its resident bytes, and seconds of point reads."""

    resident: list[int] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Whole:
    """A download to its end. Times in seconds."""

    rows: int
    size: int
    first_byte: float
    took: float


class Drill:
    """One service with its seeded database."""

    def __init__(self, client: httpx2.AsyncClient, process: psutil.Process, rows: int) -> None:
        self._client = client
        self._process = process
        self._rows = rows

    async def figures(self, name: str) -> AsyncIterator[Figure]:
        await self._warm_up()
        before = self._process.memory_info().rss
        for form, packed in (("csv", "identity"), ("ndjson", "gzip")):
            async with self._watching() as watched:
                whole = await self._download(form, packed)
            shown = form if packed == "identity" else f"{form}, packed"
            yield Figure(name, f"{shown}: rows missing", self._rows - whole.rows, "", 0)
            yield Figure(name, f"{shown}: rows each second", whole.rows / whole.took, "")
            yield Figure(name, f"{shown}: first byte", whole.first_byte * 1e3, "ms", FIRST_BYTE_MS)
            grown = (max(watched.resident) - before) / 2**20
            yield Figure(name, f"{shown}: memory growth", grown, "MiB", MEMORY_MIB)
            reads = percentile_99(watched.reads) * 1e3
            yield Figure(name, f"{shown}: point read p99 meanwhile", reads, "ms", POINT_READ_P99_MS)
        async with self._stalled():
            reads = percentile_99([await self._point_read() for _ in range(POINT_READS)]) * 1e3
            yield Figure(name, "stalled readers: point read p99", reads, "ms", POINT_READ_P99_MS)
        left = time.perf_counter()
        async with self._stalled():
            yield Figure(name, "hung up: freed after", time.perf_counter() - left, "s", FREED_S)

    async def _warm_up(self) -> None:
        for number in range(100):
            await self._point_read()
            await self._client.get("/users/export", params={"format": "csv", "q": f"user{number}@"})

    async def _download(self, form: str, packed: str) -> Whole:
        started = time.perf_counter()
        first_byte, rows, size = 0.0, -(form == "csv"), 0
        unpack = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress if packed == "gzip" else bytes
        headers = {"Accept-Encoding": packed}
        async with self._client.stream("GET", f"/users/export?format={form}", headers=headers) as response:
            response.raise_for_status()
            async for some in response.aiter_raw():
                first_byte = first_byte or time.perf_counter() - started
                rows += unpack(some).count(b"\n")
                size += len(some)
        return Whole(rows, size, first_byte, time.perf_counter() - started)

    @asynccontextmanager
    async def _stalled(self) -> AsyncIterator[None]:
        """As many exports as are allowed, begun and left unread."""
        async with AsyncExitStack() as stack:
            for _ in range(EXPORTS_ALLOWED):
                export = self._client.stream("GET", "/users/export?format=csv")
                (await stack.enter_async_context(export)).raise_for_status()
            yield

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[Watched]:
        watched = Watched()
        watching = asyncio.create_task(self._watch(watched))
        try:
            yield watched
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self, watched: Watched) -> None:
        while True:
            watched.resident.append(self._process.memory_info().rss)
            watched.reads.append(await self._point_read())
            await asyncio.sleep(PAUSE)

    async def _point_read(self) -> float:
        started = time.perf_counter()
        (await self._client.get("/users?limit=1")).raise_for_status()
        return time.perf_counter() - started


def percentile_99(seconds: Sequence[float]) -> float:
    """
    >>> percentile_99([number / 100 for number in range(1, 101)])
    0.99
    """
    return sorted(seconds)[-1 - len(seconds) // 100]


async def drill(service: Service, stand: Stand, rows: int) -> list[Figure]:
    [url] = stand.databases.url_for(service).values()
    await seed(service, url, rows)
    environment = {"EXPORT_CONNECTIONS": str(EXPORTS_ALLOWED)}
    running = await stand.start_service(service, name="drill", environment=environment)
    async with httpx2.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as client:
        measured = Drill(client, psutil.Process(running.pid), rows)
        return [figure async for figure in measured.figures(service.name)]


def show(figures: Sequence[Figure], console: Console) -> None:
    table = Table("service", "what", "measured", "at most", "", title="export")
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:,.0f} {figure.unit}"
        verdict = "" if figure.limit is None else "kept" if figure.is_kept else "BROKEN"
        table.add_row(figure.service, figure.what, f"{figure.value:,.1f} {figure.unit}", limit, verdict)
    console.print(table)


async def run(chosen: Sequence[str], rows: int) -> list[Figure]:
    figures: list[Figure] = []
    for service in services(*chosen):
        # one after another: each has the machine for itself
        async with open_stand([service], StandOptions(durable=False)) as stand:
            figures += await drill(service, stand, rows)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="drill export", description=__doc__)
    parser.add_argument("--service", action="append", choices=names(), help="repeatable; all, if left out")
    parser.add_argument("--rows", type=int, default=ROWS)
    chosen = parser.parse_args(argv)
    console = Console()
    try:
        figures = asyncio.run(run_until_stopped(run(chosen.service or names(), chosen.rows)))
    except StandError as error:
        console.print(f"drill export: {error}", style="red", markup=False)
        return 2
    show(figures, console)
    return 0 if all(figure.is_kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
