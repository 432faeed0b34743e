"""Rooms on Tortoise ORM."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from pypika_tortoise.functions import Cast
from pypika_tortoise.terms import Array
from tortoise.backends.base.client import BaseDBAsyncClient

from shared import ports
from shared.schemas.rooms import TOLD_GONE, Client, Post, inbox
from tortoise_service.models import ClientRow
from tortoise_service.statements import Among, update_returning, upsert

if TYPE_CHECKING:
    from tortoise_service import database

CHANNEL = "assay_rooms"
_PAYLOAD_MAX = 7_900
"""Bytes of a notification; the server refuses one of 8,000 and the whole post with it."""

_DEPART = """
    WITH client AS (DELETE FROM clients WHERE id = $1), room AS (DELETE FROM rooms WHERE name = $2)
    DELETE FROM room_posts WHERE room = $2
"""
# whom somebody else renews or expires at this moment is theirs
_LATE = """
    SELECT id, name, rooms FROM clients WHERE expires_at <= $1 ORDER BY expires_at
    LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# the room's row is locked until the post is committed, and the bus hands on in the order of commits: so
# places have no gaps, and every listener hears them in order
_POST = f"""
    WITH counted AS (
        INSERT INTO rooms (name, place, seq, posted_at)
        SELECT $1, 1, $4::integer, $3{{source}}
        ON CONFLICT (name) DO UPDATE
        SET place = rooms.place + 1, seq = rooms.seq + excluded.seq, posted_at = excluded.posted_at
        RETURNING place, seq
    ), logged AS (
        INSERT INTO room_posts (room, place, seq, frame, at)
        SELECT $1, place, CASE $4 WHEN 1 THEN seq END, $2, $3 FROM counted
        RETURNING place, seq
    )
    SELECT place, pg_notify(
        '{CHANNEL}',
        CASE WHEN octet_length(whole) < {_PAYLOAD_MAX} THEN whole
            ELSE json_build_array($1::text, place)::text END
    )
    FROM logged, LATERAL (SELECT json_build_array($1::text, place, seq, $2::text)::text) AS payload (whole)
"""
_TO_ROOM = _POST.format(source="")
_TO_CLIENT = _POST.format(source=" FROM clients WHERE id = $5 AND expires_at > $3 FOR KEY SHARE")
_AFTER = "SELECT room, place, seq, frame FROM room_posts WHERE room = $1 AND place > $2 ORDER BY place"


class Rooms(ports.rooms.Rooms):
    def __init__(self, client: BaseDBAsyncClient) -> None:
        self._client = client

    async def arrive(self, client: Client, until: datetime) -> None:
        rooms = Cast(Array(*client.rooms), "text[]")
        arriving = upsert(ClientRow, id=client.id, name=client.name, rooms=rooms, expires_at=until)
        await self._client.execute_query(*arriving.get_parameterized_sql())

    async def renew(self, client_ids: Sequence[UUID], until: datetime) -> Sequence[UUID]:
        rows = ClientRow.filter(Among("id", client_ids, "uuid"), expires_at__gt=TOLD_GONE)
        return [row.id for row in await update_returning(self._client, rows, expires_at=until)]

    async def move(self, client_id: UUID, rooms: Sequence[str]) -> None:
        await ClientRow.filter(id=client_id).using_db(self._client).update(rooms=list(rooms))

    async def depart(self, client_id: UUID) -> None:
        await self._client.execute_query(_DEPART, [client_id, inbox(client_id)])

    async def expire(self, moment: datetime, farewell: Callable[[Client, str], str]) -> bool:
        # what is asked of the pool's client is committed statement by statement
        async with cast("database.Client", self._client).transaction() as transaction:
            rows = await transaction.execute_query_dict(_LATE, [moment])
            if not rows:
                return False
            client, within = Client(**rows[0]), Rooms(transaction)
            if client.rooms:
                room, *others = client.rooms
                await within.post(room, farewell(client, room), moment, counted=False)
                await within._expel(client.id, others)
            else:
                await within.depart(client.id)
        return True

    async def post(self, room: str, frame: str, moment: datetime, *, counted: bool) -> int:
        arguments = [room, frame, moment, int(counted)]
        (row,) = await self._client.execute_query_dict(_TO_ROOM, arguments)
        place: int = row["place"]
        return place

    async def direct(self, client_id: UUID, frame: str, moment: datetime) -> bool:
        arguments = [inbox(client_id), frame, moment, 0, client_id]
        return bool(await self._client.execute_query_dict(_TO_CLIENT, arguments))

    async def after(self, room: str, place: int) -> Sequence[Post]:
        return [Post(**row) for row in await self._client.execute_query_dict(_AFTER, [room, place])]

    async def _expel(self, client_id: UUID, others: Sequence[str]) -> None:
        row = ClientRow.filter(id=client_id).using_db(self._client)
        await row.update(rooms=[*others], expires_at=TOLD_GONE)
