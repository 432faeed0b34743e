"""Counts a request's round trips to its database, where the layers send them (GEN-7)."""

import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Trips:
    """What a request's round trips took, in seconds each; those of parallel queries add up.

    A list, as some drivers count from several threads at once, and appending is atomic.
    """

    spent: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.spent)

    @property
    def seconds(self) -> float:
        return sum(self.spent)

    def add(self, seconds: float) -> None:
        self.spent.append(seconds)


current_trips: ContextVar[Trips] = ContextVar("current_trips")
"""Those of the request that is running. Tasks started by the request share it; outside requests
(start-up, the pool's own upkeep) there is none."""


class Counted:
    """Stands in for a driver's protocol object; each of the named calls sends and waits for the server once,
    and is counted. All else is the protocol's own."""

    def __init__(self, protocol: Any, sending: Iterable[str]) -> None:
        self._protocol = protocol
        for name in sending:
            setattr(self, name, _counted(getattr(protocol, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)


def _counted(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def counted(*arguments: Any, **named: Any) -> Any:
        trips = current_trips.get(None)
        if trips is None:
            return await call(*arguments, **named)
        started = time.perf_counter()
        try:
            return await call(*arguments, **named)
        finally:
            trips.add(time.perf_counter() - started)

    return counted
