"""Answers kept under idempotency keys, on Tortoise ORM."""

from tortoise.backends.base.client import BaseDBAsyncClient

from shared import ports
from shared.errors import KeyReused
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from tortoise_service.models import KeyRow, to_answer
from tortoise_service.statements import upsert


class Idempotency(ports.idempotency.Idempotency):
    """Within a transaction."""

    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        # waits for a transaction that has the key; an answer that is kept stays, and nothing comes back
        taking = upsert(
            KeyRow,
            key=request.key,
            fingerprint=request.fingerprint,
            status=None,
            location=None,
            etag=None,
            body=None,
            created_at=request.moment,
        )
        keys = KeyRow.get_table()
        taking = taking.where(keys.created_at < request.expired).returning(keys.key)
        if await self._client.execute_query_dict(*taking.get_parameterized_sql()):
            return None
        # a statement of its own sees what was committed while the first one waited; that one locked the row
        kept = await KeyRow.get(key=request.key, using_db=self._client)
        if kept.fingerprint != request.fingerprint:
            raise KeyReused
        return to_answer(kept)

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        await (
            KeyRow.filter(key=request.key)
            .using_db(self._client)
            .update(status=answer.status, location=answer.location, etag=answer.etag, body=answer.body)
        )
