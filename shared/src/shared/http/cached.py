"""An answer that is kept for a while, and made once however many ask for it meanwhile (DSH-2)."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class CachedBody:
    """A body for `ttl` seconds. Those who ask while it is being made wait for the one run; it goes on when
    they leave."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self._made_at = float("-inf")
        self._body = b""
        self._running: asyncio.Task[bytes] | None = None

    async def get(self, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, float | None]:
        """The body, and its age in seconds, None where it was made for this request."""
        age = time.monotonic() - self._made_at
        if age < self._ttl:
            return self._body, age
        if self._running is None:
            self._running = asyncio.create_task(self._make(make))
        return await asyncio.shield(self._running), None

    async def _make(self, make: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            self._body = await make()
            self._made_at = time.monotonic()
            return self._body
        finally:
            self._running = None
