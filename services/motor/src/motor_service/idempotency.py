"""Answers kept under idempotency keys, on Motor."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from pymongo import ReturnDocument

from motor_service.models import Row
from motor_service.statements import Connection
from shared import ports
from shared.errors import KeyReused
from shared.schemas.idempotency import KeptAnswer, KeyedRequest

_PART_BYTES = 8 * 1024 * 1024
"""Of a body: a document of the server may have 16 MiB at most."""


class Idempotency(ports.idempotency.Idempotency):
    """Within a transaction."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        taken: Row = {
            "_id": request.key,
            "fingerprint": request.fingerprint,
            "status": None,
            "location": None,
            "etag": None,
            "body": None,
            "parts": [],
            "created_at": request.moment,
        }
        is_kept = {"$gte": ["$created_at", request.expired]}
        # a write even where an answer is kept: of two who come at once the second one starts over
        row = await self._conn.idempotency_keys.find_one_and_update(
            {"_id": request.key},
            [{"$replaceWith": {"$cond": [is_kept, "$$ROOT", {"$literal": taken}]}}],
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=self._conn.session,
        )
        if row["status"] is None:
            return None
        if row["fingerprint"] != request.fingerprint:
            raise KeyReused
        body = row["body"] + b"".join(await self._parts(row["parts"]))
        return KeptAnswer(row["status"], row["location"], row["etag"], body)

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        ids = [uuid4() for _ in range(_PART_BYTES, len(answer.body), _PART_BYTES)]
        for place, part_id in enumerate(ids, start=1):
            body = answer.body[place * _PART_BYTES : (place + 1) * _PART_BYTES]
            await self._conn.idempotency_parts.insert_one(
                {"_id": part_id, "body": body, "created_at": request.moment}, session=self._conn.session
            )
        fields = {
            "status": answer.status,
            "location": answer.location,
            "etag": answer.etag,
            "body": answer.body[:_PART_BYTES],
            "parts": ids,
        }
        await self._conn.idempotency_keys.update_one(
            {"_id": request.key}, {"$set": fields}, session=self._conn.session
        )

    async def _parts(self, ids: Sequence[UUID]) -> Sequence[bytes]:
        if not ids:
            return []
        rows = self._conn.idempotency_parts.find({"_id": {"$in": ids}}, session=self._conn.session)
        bodies = {row["_id"]: row["body"] for row in await rows.to_list(None)}
        return [bodies[part_id] for part_id in ids]
