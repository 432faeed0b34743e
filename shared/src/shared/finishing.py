"""Work that must not be left half done."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, TypeVar

Result = TypeVar("Result")

LEAVING: Final = 1.0
"""Seconds that an end may take of something that nobody waits for any more."""


async def finished(work: Awaitable[Result]) -> Result:
    """Who is cancelled waits for what the work has begun, `LEAVING` at most."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running], timeout=LEAVING)
        running.cancel()
        with suppress(Exception, asyncio.CancelledError):  # nobody is left to hear of it
            await running
        raise
