"""Lets as many requests to a pool as it has connections, and the rest wait for a bounded time."""

import asyncio

from shared.errors import Unavailable


class Gate:
    """For pools whose own wait has no bound, or a dear one: entering is free of tasks and timers while
    places are left. A request that waits longer than `timeout` seconds gets Unavailable."""

    def __init__(self, size: int, timeout: float) -> None:
        self.size = size
        self.waiting = 0
        self._timeout = timeout
        self._places = asyncio.Semaphore(size)
        self._inside = 0

    @property
    def inside(self) -> int:
        return self._inside

    async def enter(self) -> None:
        if self._places.locked():
            await self._wait()
        else:
            await self._places.acquire()
        self._inside += 1

    def leave(self) -> None:
        self._inside -= 1
        self._places.release()

    async def _wait(self) -> None:
        self.waiting += 1
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unavailable from error
        finally:
            self.waiting -= 1
