"""Rooms on SQLAlchemy."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from shared import ports
from shared.schemas.rooms import TOLD_GONE, Client, Post, inbox
from sqlalchemy_service.models import CLIENTS, POST, POSTS, ROOMS, PostRow

CHANNEL = "assay_rooms"
_PAYLOAD_MAX = 7_900
"""Bytes of a notification; the server refuses one of 8,000, and the whole post with it."""

_MOMENT = bindparam("moment", type_=DateTime(timezone=True))
_UNTIL = bindparam("until", type_=DateTime(timezone=True))
_ROOM = bindparam("room", type_=Text)
_FRAME = bindparam("frame", type_=Text)
_COUNTED = bindparam("counted", type_=BigInteger)
_CLIENT_ID = bindparam("client_id", type_=Uuid)

_NEW_CLIENT = postgresql.insert(CLIENTS)
_ARRIVE = _NEW_CLIENT.on_conflict_do_update(
    index_elements=["id"], set_={name: _NEW_CLIENT.excluded[name] for name in ("name", "rooms", "expires_at")}
)
_RENEW = (
    update(CLIENTS)
    .where(CLIENTS.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))), CLIENTS.c.expires_at > TOLD_GONE)
    .values(expires_at=_UNTIL)
    .returning(CLIENTS.c.id)
)
_MOVE = (
    update(CLIENTS)
    .where(CLIENTS.c.id == _CLIENT_ID)
    .values(rooms=bindparam("new_rooms", type_=CLIENTS.c.rooms.type))
)
_EXPEL = _MOVE.values(expires_at=TOLD_GONE)
_DEPART = (
    delete(POSTS)
    .where(POSTS.c.room == _ROOM)
    .add_cte(
        delete(CLIENTS).where(CLIENTS.c.id == _CLIENT_ID).cte("client"),
        delete(ROOMS).where(ROOMS.c.name == _ROOM).cte("counted"),
    )
)
# whom somebody else renews or expires at this moment is theirs
_LATE = (
    select(CLIENTS.c.id, CLIENTS.c.name, CLIENTS.c.rooms)
    .where(CLIENTS.c.expires_at <= _MOMENT)
    .order_by(CLIENTS.c.expires_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def _post(source: Select[str, int, int, datetime]) -> Select[int, Any]:
    """Counts the room up, logs the post and tells it, if the source has a row. The room's row stays locked
    until the post is committed, and the bus hands on in the order of commits: so places have no gaps, and
    every listener hears them in order."""
    new = postgresql.insert(ROOMS).from_select(["name", "place", "seq", "posted_at"], source)
    counted = (
        new.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "place": ROOMS.c.place + 1,
                "seq": ROOMS.c.seq + new.excluded.seq,
                "posted_at": func.greatest(ROOMS.c.posted_at, new.excluded.posted_at),
            },
        )
        .returning(ROOMS.c.place, case((_COUNTED == 1, ROOMS.c.seq)).label("seq"))
        .cte("counted")
    )
    logged = (
        insert(POSTS)
        .from_select(
            ["room", "place", "seq", "frame", "at"],
            select(_ROOM, counted.c.place, counted.c.seq, _FRAME, _MOMENT),
        )
        .cte("logged")
    )
    whole = _json(_ROOM, counted.c.place, counted.c.seq, _FRAME)
    place = _json(_ROOM, counted.c.place)
    payload = case((func.octet_length(whole) < literal(_PAYLOAD_MAX), whole), else_=place)
    return select(counted.c.place, func.pg_notify(CHANNEL, payload)).add_cte(logged)


def _json(*members: ColumnElement[Any]) -> ColumnElement[str]:
    return cast(func.json_build_array(*members), Text)


_FIRST = (literal(1, BigInteger), _COUNTED, _MOMENT)
_TO_ROOM = _post(select(_ROOM, *_FIRST))
_TO_CLIENT = _post(
    select(_ROOM, *_FIRST)
    .where(CLIENTS.c.id == _CLIENT_ID, CLIENTS.c.expires_at > _MOMENT)
    .with_for_update(read=True, key_share=True, of=CLIENTS)
)
_AFTER = (
    select(POST)
    .where(PostRow.room == _ROOM, PostRow.place > bindparam("place", type_=BigInteger))
    .order_by(PostRow.place)
)


class Rooms(ports.rooms.Rooms):
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def arrive(self, client: Client, until: datetime) -> None:
        await self._session.execute(_ARRIVE, {**asdict(client), "expires_at": until})

    async def renew(self, client_ids: Sequence[UUID], until: datetime) -> Sequence[UUID]:
        return (await self._session.scalars(_RENEW, {"ids": client_ids, "until": until})).all()

    async def move(self, client_id: UUID, rooms: Sequence[str]) -> None:
        await self._session.execute(_MOVE, {"client_id": client_id, "new_rooms": rooms})

    async def depart(self, client_id: UUID) -> None:
        await self._session.execute(_DEPART, {"client_id": client_id, "room": inbox(client_id)})

    async def expire(self, moment: datetime, farewell: Callable[[Client, str], str]) -> bool:
        # this session commits statement by statement: it starts over, for one transaction, in another mode
        await self._session.commit()
        async with self._session.begin():
            await self._session.connection(execution_options={"isolation_level": "READ COMMITTED"})
            late = (await self._session.execute(_LATE, {"moment": moment})).first()
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
        arguments = {"room": room, "frame": frame, "moment": moment, "counted": int(counted)}
        place: int = (await self._session.execute(_TO_ROOM, arguments)).scalar_one()
        return place

    async def direct(self, client_id: UUID, frame: str, moment: datetime) -> bool:
        arguments = {
            "room": inbox(client_id),
            "frame": frame,
            "moment": moment,
            "counted": 0,
            "client_id": client_id,
        }
        return await self._session.scalar(_TO_CLIENT, arguments) is not None

    async def after(self, room: str, place: int) -> Sequence[Post]:
        return (await self._session.scalars(_AFTER, {"room": room, "place": place})).all()

    async def _expel(self, client_id: UUID, others: Sequence[str]) -> None:
        await self._session.execute(_EXPEL, {"client_id": client_id, "new_rooms": others})
