"""What every data layer offers, as Protocols of whole operations with the contract's names."""

from shared.ports import backend, dashboard, documents, users

__all__ = ["backend", "dashboard", "documents", "users"]
