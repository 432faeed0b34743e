"""Promises of time, judged on a machine whose neighbours may take it for a while."""

from collections.abc import Awaitable, Callable
from typing import Final

TRIES: Final = 3


async def expect_prompt(attempt: Callable[[], Awaitable[tuple[float, ...]]], *within: float) -> None:
    """The seconds that the attempt tells are fewer than promised, each of them, in one of the tries: anything
    is late on a machine that stands still, and a service that is late is so every time."""
    tries: list[tuple[float, ...]] = []
    while len(tries) < TRIES:
        tries.append(await attempt())
        if all(took < promised for took, promised in zip(tries[-1], within, strict=True)):
            return
    raise AssertionError(f"took {tries} s, each time more than the promised {within}")
