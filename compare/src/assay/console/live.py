"""What all backends do now: scraped once in a second by one task, however many pages look on."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

import httpx2
from pydantic import BaseModel

from assay.console.answers import plain
from assay.console.backends import Backend, Fleet, cancelled_and_awaited
from assay.console.exposition import Snapshot, quantile, since, snapshot, total

PERIOD: Final = 1.0
WINDOW: Final = 10
"""Periods that rates and quantiles are of."""

_SCRAPE_SECONDS: Final = 0.9


class Pulse(BaseModel):
    """One backend's last seconds. `gone` says why there is nothing to show, None where there is. Quantiles
    and lag are in ms, None without any request; rate in requests for each second."""

    backend: str
    gone: str | None = None
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    in_use: int | None = None
    size: int | None = None
    waiting: int | None = None
    lag: float | None = None


class _Nothing(Exception):
    """Why a backend has no pulse."""


class Live:
    """`pulses` starts the task with the first page and ends it, awaited, with the last."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._seen = {name: deque[Snapshot](maxlen=WINDOW + 1) for name in fleet.backends}
        self._changed = asyncio.Condition()
        self._latest: list[Pulse] = []
        self._readers = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def scraping(self) -> bool:
        return self._task is not None

    async def pulses(self) -> AsyncGenerator[list[Pulse]]:
        """All backends' pulses, once in a second; a slow reader misses some and is never waited for."""
        self._readers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._scrape_on())
        try:
            while True:
                async with self._changed:
                    await self._changed.wait()
                    latest = self._latest
                yield latest
        finally:
            self._readers -= 1
            if not self._readers and self._task is not None:
                task, self._task = self._task, None
                await cancelled_and_awaited([task])
                for snapshots in self._seen.values():
                    snapshots.clear()

    async def _scrape_on(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            latest = await asyncio.gather(*map(self._pulse, self._fleet.backends.values()))
            async with self._changed:
                self._latest = latest
                self._changed.notify_all()
            due = max(due + PERIOD, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _pulse(self, backend: Backend) -> Pulse:
        seen = self._seen[backend.name]
        try:
            now = await self._scraped(backend)
        except _Nothing as reason:
            seen.clear()
            return Pulse(backend=backend.name, gone=str(reason))
        if seen and since(seen[-1].requests, now.requests) is None:
            seen.clear()
        seen.append(now)
        return _between(backend.name, seen[0], now)

    async def _scraped(self, backend: Backend) -> Snapshot:
        """Raises _Nothing."""
        headers = self._fleet.signer.headers()
        try:
            async with asyncio.timeout(_SCRAPE_SECONDS):
                answer = await self._fleet.client.get(f"{backend.url}/metrics", headers=headers)
        except TimeoutError:
            raise _Nothing(f"no answer within {_SCRAPE_SECONDS:g} s") from None
        except httpx2.RequestError as error:
            raise _Nothing(plain(error)) from error
        if answer.status_code != httpx2.codes.OK:
            raise _Nothing(f"/metrics answers {answer.status_code}")
        try:
            return snapshot(answer.text, time.monotonic())
        except (ValueError, KeyError) as error:
            raise _Nothing("/metrics is not what Prometheus reads") from error


def _between(name: str, first: Snapshot, now: Snapshot) -> Pulse:
    requests = since(first.requests, now.requests) or {}
    lag = quantile(since(first.lag, now.lag) or {}, 0.99)
    seconds = now.at - first.at
    return Pulse(
        backend=name,
        rate=round(total(requests) / seconds, 1) if seconds else None,
        p50=_ms(quantile(requests, 0.5)),
        p99=_ms(quantile(requests, 0.99)),
        in_use=now.in_use,
        size=now.size,
        waiting=now.waiting,
        lag=_ms(lag),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 2)
