"""Rooms on asyncpg."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg_service.models import Connection
from shared import ports
from shared.schemas.rooms import TOLD_GONE, Client, Post, inbox

CHANNEL = "assay_rooms"
_PAYLOAD_MAX = 7_900
"""Bytes of a notification; the server refuses one of 8,000 and the whole post with it."""

_ARRIVE = """
    INSERT INTO clients (id, name, rooms, expires_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE
    SET name = excluded.name, rooms = excluded.rooms, expires_at = excluded.expires_at
"""
_RENEW = "UPDATE clients SET expires_at = $2 WHERE id = ANY ($1) AND expires_at > $3 RETURNING id"
_MOVE = "UPDATE clients SET rooms = $2 WHERE id = $1"
_EXPEL = "UPDATE clients SET rooms = $2, expires_at = $3 WHERE id = $1"
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
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def arrive(self, client: Client, until: datetime) -> None:
        await self._conn.execute(_ARRIVE, client.id, client.name, client.rooms, until)

    async def renew(self, client_ids: Sequence[UUID], until: datetime) -> Sequence[UUID]:
        return [row[0] for row in await self._conn.fetch(_RENEW, client_ids, until, TOLD_GONE)]

    async def move(self, client_id: UUID, rooms: Sequence[str]) -> None:
        await self._conn.execute(_MOVE, client_id, rooms)

    async def depart(self, client_id: UUID) -> None:
        await self._conn.execute(_DEPART, client_id, inbox(client_id))

    async def expire(self, moment: datetime, farewell: Callable[[Client, str], str]) -> bool:
        async with self._conn.transaction():
            late = await self._conn.fetchrow(_LATE, moment)
            if late is None:
                return False
            client = Client(*late)
            if client.rooms:
                room, *others = client.rooms
                await self.post(room, farewell(client, room), moment, counted=False)
                await self._expel(client.id, others)
            else:
                await self.depart(client.id)
        return True

    async def post(self, room: str, frame: str, moment: datetime, *, counted: bool) -> int:
        place: int = await self._conn.fetchval(_TO_ROOM, room, frame, moment, int(counted))
        return place

    async def direct(self, client_id: UUID, frame: str, moment: datetime) -> bool:
        place = await self._conn.fetchval(_TO_CLIENT, inbox(client_id), frame, moment, 0, client_id)
        return place is not None

    async def after(self, room: str, place: int) -> Sequence[Post]:
        return [Post(*row) for row in await self._conn.fetch(_AFTER, room, place)]

    async def _expel(self, client_id: UUID, others: Sequence[str]) -> None:
        await self._conn.execute(_EXPEL, client_id, others, TOLD_GONE)
