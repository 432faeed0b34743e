"""Kept answers on SQLAlchemy."""

from sqlalchemy import DateTime, LargeBinary, bindparam, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.errors import KeyReused
from shared.schemas.idempotency import KeptAnswer, KeyedRequest
from sqlalchemy_service.models import KEPT_ANSWERS

_NEW = insert(KEPT_ANSWERS).values(
    key=bindparam("key", type_=LargeBinary),
    fingerprint=bindparam("fingerprint", type_=LargeBinary),
    created_at=bindparam("moment", type_=DateTime(timezone=True)),
)
# waits for whoever has the key right now, and then finds it free, kept, or expired
_CLAIM = _NEW.on_conflict_do_update(
    index_elements=["key"],
    set_={
        "fingerprint": _NEW.excluded.fingerprint,
        "status": null(),
        "location": null(),
        "etag": null(),
        "body": null(),
        "created_at": _NEW.excluded.created_at,
    },
    where=KEPT_ANSWERS.c.created_at < bindparam("expired", type_=DateTime(timezone=True)),
).returning(KEPT_ANSWERS.c.key)
_ANSWER = (KEPT_ANSWERS.c.status, KEPT_ANSWERS.c.location, KEPT_ANSWERS.c.etag, KEPT_ANSWERS.c.body)
_KEPT = select(KEPT_ANSWERS.c.fingerprint, *_ANSWER).where(
    KEPT_ANSWERS.c.key == bindparam("key", type_=LargeBinary)
)
_KEEP = (
    update(KEPT_ANSWERS)
    .where(KEPT_ANSWERS.c.key == bindparam("claimed", type_=LargeBinary))
    .values({column: bindparam(f"new_{column.name}", type_=column.type) for column in _ANSWER})
)


class Idempotency(ports.idempotency.Idempotency):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def claim(self, request: KeyedRequest) -> KeptAnswer | None:
        arguments = {
            "key": request.key,
            "fingerprint": request.fingerprint,
            "moment": request.moment,
            "expired": request.expired,
        }
        while await self._session.scalar(_CLAIM, arguments) is None:
            kept = (await self._session.execute(_KEPT, {"key": request.key})).one_or_none()
            if kept is not None:
                fingerprint, *answer = kept
                if fingerprint != request.fingerprint:
                    raise KeyReused
                return KeptAnswer(*answer)
        return None

    async def keep(self, request: KeyedRequest, answer: KeptAnswer) -> None:
        await self._session.execute(
            _KEEP,
            {
                "claimed": request.key,
                "new_status": answer.status,
                "new_location": answer.location,
                "new_etag": answer.etag,
                "new_body": answer.body,
            },
        )
