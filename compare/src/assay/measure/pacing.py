"""When requests are due in an open loop: schedules fixed in advance, and a timer fine enough for them."""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

CLOCK_MONOTONIC = 1
"""The clock's number in Linux's <time.h>, the one under `time.perf_counter_ns` there."""

Schedule = NDArray[np.int64]
"""Nanoseconds after the start at which requests are due, ascending."""


def constant_schedule(per_second: float, seconds: float) -> Schedule:
    """Evenly spaced arrivals.

    >>> constant_schedule(4, 1).tolist()
    [0, 250000000, 500000000, 750000000]
    """
    count = round(per_second * seconds)
    return (np.arange(count) * (1e9 / per_second)).astype(np.int64)


def poisson_schedule(per_second: float, seconds: float, seed: int) -> Schedule:
    """Arrivals of independent users: exponential gaps (a Poisson process), the same for the same seed."""
    rng = np.random.default_rng(seed)
    expected = per_second * seconds
    gaps = rng.exponential(1e9 / per_second, size=int(expected + 10 * expected**0.5 + 10))
    due = np.cumsum(gaps)
    return due[due < seconds * 1e9].astype(np.int64)


class _TimerSpec(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns"))


class LoopPacer:
    """Calls `tick` at a time of `time.perf_counter_ns`, to the event loop's resolution: about 1 ms."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._handle: asyncio.TimerHandle | None = None

    def wake_at(self, due_ns: int) -> None:
        delay = max(0, due_ns - time.perf_counter_ns()) / 1e9
        self._handle = asyncio.get_running_loop().call_later(delay, self._tick)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class TimerfdPacer:
    """The same by timerfd(2), to some tens of µs: at 2,000 requests/s a millisecond is two gaps.

    Python has `os.timerfd_create` only from 3.13 on, hence ctypes.
    """

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        self._check(self._fd)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._expired)

    def _check(self, answer: int) -> None:
        if answer < 0:
            raise OSError(ctypes.get_errno(), "timerfd")

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between the wake-up and here
            return
        self._tick()

    def wake_at(self, due_ns: int) -> None:
        seconds, nanoseconds = divmod(max(1, due_ns - time.perf_counter_ns()), 1_000_000_000)
        spec = _TimerSpec(0, 0, seconds, nanoseconds)
        self._check(self._libc.timerfd_settime(self._fd, 0, ctypes.byref(spec), None))

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)


Pacer = LoopPacer | TimerfdPacer


def open_pacer(tick: Callable[[], None]) -> Pacer:
    return TimerfdPacer(tick) if sys.platform == "linux" else LoopPacer(tick)
