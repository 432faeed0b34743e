"""Removes in the background what nobody can ask for any more."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta

from shared.ports.backend import Backend
from shared.rules import clock, limits
from shared.settings import Settings
from shared.work.files import Files

_log = logging.getLogger("assay.sweep")

_JITTER = 0.1
_MARGIN = timedelta(minutes=10)
"""How much longer than promised entries stay, for clocks that differ."""


@asynccontextmanager
async def sweeping(backend: Backend, files: Files, settings: Settings) -> AsyncIterator[None]:
    """Sweeps every `sweep_seconds`, not all processes at one moment. Stops at once, also amid a run: what is
    left is the next one's."""
    task = asyncio.create_task(_sweep_for_ever(backend, files, settings))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _sweep_for_ever(backend: Backend, files: Files, settings: Settings) -> None:
    pause = settings.sweep_seconds
    await asyncio.sleep(pause * random.random())
    while True:
        await _logged(sweep_files(backend, files, settings.orphan_seconds), "files without a row")
        entries = backend.forget(clock.now() - timedelta(hours=limits.KEPT_HOURS) - _MARGIN)
        await _logged(entries, "old entries")
        await asyncio.sleep(pause * random.uniform(1 - _JITTER, 1 + _JITTER))


async def _logged(sweep: Awaitable[None], swept: str) -> None:
    try:
        await sweep
    except Exception as error:  # noqa: BLE001 - whatever fails, the next run tries again
        _log.warning("%s could not be swept, and are next time: %r", swept, error)


async def sweep_files(backend: Backend, files: Files, orphan_seconds: float) -> None:
    """Removes the files older than `orphan_seconds` that no row names. FIL-3"""
    before = clock.now() - timedelta(seconds=orphan_seconds)
    await files.remove_unfinished(before)
    async for old in files.older(before):
        async with backend.reader() as reader:
            known = await reader.attachments.known(old)
        orphans = [file_id for file_id in old if file_id not in known]
        for file_id in orphans:
            await files.remove(file_id)
        if orphans:
            _log.info("%d files without a row were removed", len(orphans))
