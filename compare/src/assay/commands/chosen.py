"""The backends that a command was asked for."""

from collections.abc import Sequence

from shared.registry import Service, names, services

from assay.stand import StandError


def chosen(wanted: Sequence[str]) -> list[Service]:
    """In the order of their names; StandError for one that is not installed."""
    installed = names()
    for name in wanted:
        if name not in installed:
            raise StandError(f"there is no backend {name!r}: choose of {', '.join(installed)}.")
    return services(*wanted)
