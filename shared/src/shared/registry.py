"""Finds the services. Each announces itself by an entry point; nobody keeps a list."""

from collections.abc import Callable, Coroutine, Mapping, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Literal

from shared.ports.backend import Backend
from shared.settings import Settings

GROUP = "assay.services"

Database = Literal["postgresql", "mongodb"]


@dataclass(frozen=True)
class Service:
    """What the outside may know of a service.

    `layer` is the distribution whose version `/info` names. `known_gaps` gives a reason for each set of
    clause ids that this layer cannot keep; the suite is strict about it both ways.
    """

    name: str
    title: str
    layer: str
    database: Database
    open_backend: Callable[[Settings], AbstractAsyncContextManager[Backend]]
    migrate: Callable[[Settings], Coroutine[Any, Any, None]]
    known_gaps: Mapping[str, Set[str]] = field(default_factory=dict)

    @property
    def module(self) -> str:
        return f"{self.name}_service"


def names() -> list[str]:
    """The installed services' names; none is imported."""
    return sorted(point.name for point in entry_points(group=GROUP))


def services(*wanted: str) -> list[Service]:
    """Those of the wanted names, all installed ones if none is named. A service that cannot be imported
    raises: it is never left out."""
    chosen = wanted or names()
    found: list[Service] = [point.load() for point in entry_points(group=GROUP) if point.name in chosen]
    return sorted(found, key=lambda service: service.name)
