"""Notices that the process is told to stop, before the server waits for its connections to end."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopping(asyncio.Event):
    """Set when the process is told to stop; from then on it has `grace` seconds."""

    def __init__(self, grace: float) -> None:
        super().__init__()
        self._grace = grace
        self._until: float | None = None

    def set(self) -> None:
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + self._grace
        super().set()

    def left(self, reserved: float, least: float) -> float:
        """Seconds that are left when as many are reserved for what comes after; never under `least`, as a
        step that gets nothing at all cannot end well."""
        if self._until is None:
            return self._grace
        return max(least, self._until - asyncio.get_running_loop().time() - reserved)


@contextmanager
def noticing_stop(grace: float) -> Iterator[Stopping]:
    """Set by SIGTERM and SIGINT; whoever handled them before still does. The same signal once more ends the
    process at once. A server that runs in a thread of somebody else's process is stopped otherwise: there it
    is set when that server has ended its requests."""
    stopping = Stopping(grace)
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    received: set[int] = set()

    def notice(number: int, frame: FrameType | None) -> None:
        if number in received:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received.add(number)
        loop.call_soon_threadsafe(stopping.set)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in _SIGNALS:
        signal.signal(number, notice)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
