"""What every data layer offers, as Protocols of whole operations with the contract's names."""

from shared.ports import (
    activity,
    attachments,
    backend,
    dashboard,
    documents,
    events,
    exports,
    idempotency,
    notifications,
    rooms,
    users,
)

__all__ = [
    "activity",
    "attachments",
    "backend",
    "dashboard",
    "documents",
    "events",
    "exports",
    "idempotency",
    "notifications",
    "rooms",
    "users",
]
