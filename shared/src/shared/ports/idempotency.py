"""Answers kept under idempotency keys, in the transaction of their effects (GEN-13)."""

from typing import Protocol

from shared.schemas.idempotency import KeptAnswer, KeyedRequest


class Idempotency(Protocol):
    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        """Takes the key for this request, or answers what is kept under it. Waits for a request that has the
        key right now. Raises KeyReused where it came with another request. GEN-13"""

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        """Keeps the answer under the claimed key. GEN-13"""
