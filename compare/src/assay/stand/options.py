"""What a caller may ask of the stand, and how the stand tells where it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

DatabaseKind = Literal["postgresql", "mongodb"]
StepState = Literal["started", "done", "failed"]


@dataclass(frozen=True)
class StandOptions:
    """Where the databases come from when no URL is given.

    data: a folder to keep the embedded databases in and to find them in again; None for a temporary one.
    docker: containers instead of embedded servers.
    durable: fsync as in production; off only where speed matters more than the truth of a figure.
    """

    data: Path | None = None
    docker: bool = False
    durable: bool = True


class Progress(Protocol):
    """Called at the start and the end of every step; must not block."""

    def __call__(self, step: str, state: StepState, /) -> None: ...


def silent(step: str, state: StepState, /) -> None:
    """The progress of callers that show none."""


@contextmanager
def reported(progress: Progress, step: str) -> Iterator[None]:
    progress(step, "started")
    try:
        yield
    except BaseException:
        progress(step, "failed")
        raise
    progress(step, "done")
