"""The backends that a command was asked for."""

from collections.abc import Sequence

from assay.stand import StandError
from shared.registry import Service, names, services


def chosen(wanted: Sequence[str]) -> list[Service]:
    """In the order of their names; StandError for one that is not installed."""
    installed = names()
    for name in wanted:
        if name not in installed:
            raise StandError(f"there is no backend {name!r}: choose of {', '.join(installed)}.")
    return services(*wanted)
