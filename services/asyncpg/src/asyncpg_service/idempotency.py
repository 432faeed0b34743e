"""Answers kept under idempotency keys, on asyncpg."""

from asyncpg_service.models import Connection
from shared import ports
from shared.errors import KeyReused
from shared.schemas.idempotency import KeptAnswer, KeyedRequest

# waits for a transaction that has the key; an answer that is kept stays, and nothing comes back
_CLAIM = """
    INSERT INTO idempotency_keys (key, fingerprint, created_at) VALUES ($1, $2, $3)
    ON CONFLICT (key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = NULL, location = NULL, etag = NULL, body = NULL,
        created_at = excluded.created_at
    WHERE idempotency_keys.created_at < $4
    RETURNING true
"""
_KEPT = "SELECT fingerprint, status, location, etag, body FROM idempotency_keys WHERE key = $1"
_KEEP = "UPDATE idempotency_keys SET status = $2, location = $3, etag = $4, body = $5 WHERE key = $1"


class Idempotency(ports.idempotency.Idempotency):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        if await self._conn.fetchval(
            _CLAIM, request.key, request.fingerprint, request.moment, request.expired
        ):
            return None
        # a statement of its own sees what was committed while the first one waited; that one locked the row
        row = await self._conn.fetchrow(_KEPT, request.key)
        assert row is not None
        fingerprint, *answer = row
        if fingerprint != request.fingerprint:
            raise KeyReused
        return KeptAnswer(*answer)

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        await self._conn.execute(_KEEP, request.key, answer.status, answer.location, answer.etag, answer.body)
