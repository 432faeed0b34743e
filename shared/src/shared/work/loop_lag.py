"""How late the event loop is: what holds it up holds up every request (OPS-3)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

_PERIOD = 0.1
_WINDOW = 600
"""Of measurements: a minute of them."""


class LoopLag:
    """Seconds. `observe` hears of each measurement."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._window: deque[float] = deque(maxlen=_WINDOW)

    def greatest(self) -> float:
        return max(self._window, default=0.0)

    async def measure(self) -> None:
        """Sleeps and sees how much too long, for ever."""
        while True:
            due = time.perf_counter() + _PERIOD
            await asyncio.sleep(_PERIOD)
            late = max(0.0, time.perf_counter() - due)
            self._window.append(late)
            self._observe(late)


@asynccontextmanager
async def measuring_lag(lag: LoopLag) -> AsyncIterator[None]:
    task = asyncio.create_task(lag.measure(), name="loop lag")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
