"""What a service tells about itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Versioned:
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Info:
    backend: str
    layer: Versioned
    database: Versioned
    contract: str


@dataclass(frozen=True, slots=True)
class Health:
    status: str
