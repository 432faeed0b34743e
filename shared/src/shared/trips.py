"""Counts a request's round trips to its database, where the layers send them (GEN-7)."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Trips:
    """What a request's round trips took, in seconds each; those of parallel queries add up. `bare` are those
    of them that carried no statement: they prepared one, fetched on, began or ended a transaction.

    Lists, as some drivers count from several threads at once, and appending is atomic.
    """

    spent: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.spent)

    @property
    def seconds(self) -> float:
        return sum(self.spent)

    @property
    def statements(self) -> int:
        return len(self.spent) - len(self.bare)

    def add(self, seconds: float, *, is_statement: bool) -> None:
        self.spent.append(seconds)
        if not is_statement:
            self.bare.append(seconds)


current_trips: ContextVar[Trips] = ContextVar("current_trips")
"""Those of the request that is running. Tasks started by the request share it; outside requests
(start-up, the pool's own upkeep) there is none."""


_TRANSACTION = re.compile(r"\s*(?:BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE).match


class Counted:
    """Stands in for a driver's protocol object; each of the named calls sends and waits for the server once,
    and is counted: as a statement if the name says so and its text does not begin or end a transaction. The
    text is the first argument or the `query` of a prepared one. All else is the protocol's own."""

    def __init__(self, protocol: Any, sending: Mapping[str, bool]) -> None:
        self._protocol = protocol
        for name, is_statement in sending.items():
            setattr(self, name, _counted(getattr(protocol, name), is_statement=is_statement))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)


def _counted(call: Callable[..., Awaitable[Any]], *, is_statement: bool) -> Callable[..., Awaitable[Any]]:
    async def counted(*arguments: Any, **named: Any) -> Any:
        trips = current_trips.get(None)
        if trips is None:
            return await call(*arguments, **named)
        started = time.perf_counter()
        try:
            return await call(*arguments, **named)
        finally:
            run: Any = arguments[0] if arguments else named["state"]
            told = is_statement and _TRANSACTION(getattr(run, "query", run)) is None
            trips.add(time.perf_counter() - started, is_statement=told)

    return counted
