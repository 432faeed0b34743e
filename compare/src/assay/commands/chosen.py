"""The backends that a command was asked for."""

from collections.abc import Sequence

from shared.registry import Service, services

from assay.stand import StandError


def chosen(names: Sequence[str]) -> list[Service]:
    """In the order of their names; StandError for one that is not installed."""
    installed = {service.name: service for service in services()}
    unknown = [name for name in names if name not in installed]
    if unknown:
        raise StandError(f"there is no backend {unknown[0]!r}: choose of {', '.join(installed)}.")
    return [service for name, service in installed.items() if not names or name in names]
