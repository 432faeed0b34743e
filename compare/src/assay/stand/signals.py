"""Signals that end the command turn into a cancellation, so that every context manager cleans up."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Result = TypeVar("Result")


class StoppedError(Exception):
    """The command was ended by a signal and has cleaned up after itself."""

    def __init__(self, signal_number: signal.Signals) -> None:
        super().__init__(f"StoppedError by {signal_number.name}.")
        self.signal = signal_number


async def run_until_stopped(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of the work; raises StoppedError when SIGINT, SIGTERM or SIGHUP ended it.

    Only the first signal counts: a second one would tear the cleaning up apart, which is short anyway.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in ENDING:
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if received:
            raise StoppedError(received[0]) from None
        raise
    finally:
        for number in ENDING:
            loop.remove_signal_handler(number)
