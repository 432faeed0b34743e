"""How the libraries under a layer fare: age of the release, what it says of itself, end of life."""

import tomllib
from collections.abc import Sequence
from datetime import date
from importlib.metadata import distribution, version
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

from assay.report.care import Candidate
from shared.registry import Service

Status = Literal["stable", "beta", "alpha", "unknown"]

_STATUS: dict[str, Status] = {"2": "alpha", "3": "alpha", "4": "beta", "5": "stable", "6": "stable"}
"""By the number in the classifier `Development Status :: N - …`."""


class Library(BaseModel):
    """One entry of candidates.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: str
    layers: list[str]
    version: str
    released: date
    end_of_life: date | None = None
    note: str
    source: str


def libraries() -> list[Library]:
    text = files("assay.judge").joinpath("candidates.toml").read_text(encoding="utf-8")
    return [Library.model_validate(entry) for entry in tomllib.loads(text)["library"]]


def candidates(services: Sequence[Service], today: date) -> list[Candidate]:
    """A library of each layer in turn, in the order of candidates.toml. Another version than the one there
    has no known date."""
    return [
        _candidate(service, library, today)
        for service in services
        for library in libraries()
        if service.name in library.layers
    ]


def _candidate(service: Service, library: Library, today: date) -> Candidate:
    installed = version(library.distribution)
    released = library.released if installed == library.version else None
    return Candidate(
        backend=service.name,
        distribution=library.distribution,
        version=installed,
        released=None if released is None else released.isoformat(),
        age_days=None if released is None else (today - released).days,
        status=status_of(library.distribution),
        end_of_life=None if library.end_of_life is None else library.end_of_life.isoformat(),
        maintained=library.end_of_life is None or today < library.end_of_life,
        note=library.note,
        source=library.source,
    )


def status_of(name: str) -> Status:
    """What the installed distribution says of itself."""
    said = [one for one in distribution(name).metadata.get_all("Classifier") or [] if "Status ::" in one]
    return _STATUS.get(said[0].partition(" :: ")[2][:1], "unknown") if said else "unknown"
