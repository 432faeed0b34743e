"""Rooms on Motor."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from bson.max_key import MaxKey
from pymongo import ReturnDocument

from motor_service.models import Row, to_client, to_post
from motor_service.statements import Connection, Session
from shared import ports
from shared.schemas.rooms import TOLD_GONE, Client, Post, inbox


class Rooms(ports.rooms.Rooms):
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def arrive(self, client: Client, until: datetime) -> None:
        await self._conn.clients.replace_one(
            {"_id": client.id},
            {"name": client.name, "rooms": client.rooms, "expires_at": until},
            upsert=True,
            session=self._conn.session,
        )

    async def renew(self, client_ids: Sequence[UUID], until: datetime) -> Sequence[UUID]:
        clients = {"_id": {"$in": client_ids}, "expires_at": {"$gt": TOLD_GONE}}
        session = self._conn.session
        renewed = await self._conn.clients.update_many(
            clients, {"$set": {"expires_at": until}}, session=session
        )
        # an update of many tells how many; which ones matters only where some are gone
        if renewed.matched_count == len(client_ids):
            return client_ids
        rows = self._conn.clients.find(clients, {"_id": 1}, session=session)
        return [row["_id"] for row in await rows.to_list(None)]

    async def move(self, client_id: UUID, rooms: Sequence[str]) -> None:
        await self._conn.clients.update_one(
            {"_id": client_id}, {"$set": {"rooms": rooms}}, session=self._conn.session
        )

    async def depart(self, client_id: UUID) -> None:
        await self._conn.clients.delete_one({"_id": client_id}, session=self._conn.session)
        await self._remove_inbox(client_id)

    async def expire(self, moment: datetime, farewell: Callable[[Client, str], str]) -> bool:
        late = {"expires_at": {"$lte": moment}}
        row = await self._conn.clients.find_one(late, sort=[("expires_at", 1)], session=self._conn.session)
        if row is None:
            return False
        client = to_client(row)
        # whom somebody else renews or expires meanwhile is theirs: then nothing is found any more
        found = {"_id": client.id, "rooms": client.rooms, **late}
        if client.rooms:
            room = client.rooms[0]
            frame = farewell(client, room)
            await self._conn.transaction([room], partial(self._expel, found, room, frame, moment))
        elif (await self._conn.clients.delete_one(found, session=self._conn.session)).deleted_count:
            await self._remove_inbox(client.id)
        return True

    async def post(self, room: str, frame: str, moment: datetime, *, counted: bool) -> int:
        return await self._conn.transaction(
            [room], partial(self._post, room, frame, moment, seqs=int(counted))
        )

    async def direct(self, client_id: UUID, frame: str, moment: datetime) -> bool:
        return await self._conn.transaction(
            [inbox(client_id)], partial(self._direct, client_id, frame, moment)
        )

    async def after(self, room: str, place: int) -> Sequence[Post]:
        rows = self._conn.room_posts.find(_log(room, place), sort=[("_id", 1)], session=self._conn.session)
        return [to_post(row) for row in await rows.to_list(None)]

    async def _remove_inbox(self, client_id: UUID) -> None:
        """After the client, so that nobody posts there any more."""
        room = inbox(client_id)
        await self._conn.rooms.delete_one({"_id": room}, session=self._conn.session)
        await self._conn.room_posts.delete_many(_log(room, 0), session=self._conn.session)

    async def _post(self, room: str, frame: str, moment: datetime, session: Session, *, seqs: int) -> int:
        # who comes second to the room's row starts over after the first one's commit: places have no gaps,
        # and the change stream tells them in order
        counted = await self._conn.rooms.find_one_and_update(
            {"_id": room},
            # the log goes before the room: a room is never older than its posts
            {"$inc": {"place": 1, "seq": seqs}, "$max": {"posted_at": moment}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        place: int = counted["place"]
        post = {"seq": counted["seq"] if seqs else None, "frame": frame, "at": moment}
        await self._conn.room_posts.insert_one({"_id": _entry(room, place), **post}, session=session)
        return place

    async def _expel(self, found: Row, room: str, frame: str, moment: datetime, session: Session) -> None:
        expelling = {"$pop": {"rooms": -1}, "$set": {"expires_at": TOLD_GONE}}
        expelled = await self._conn.clients.update_one(found, expelling, session=session)
        if expelled.matched_count:
            await self._post(room, frame, moment, session, seqs=0)

    async def _direct(self, client_id: UUID, frame: str, moment: datetime, session: Session) -> bool:
        # whoever removes the client at this moment meets the touch
        known = await self._conn.clients.update_one(
            {"_id": client_id, "expires_at": {"$gt": moment}}, {"$inc": {"direct": 1}}, session=session
        )
        if not known.matched_count:
            return False
        await self._post(inbox(client_id), frame, moment, session, seqs=0)
        return True


def _entry(room: str, place: object) -> Row:
    return {"room": room, "place": place}


def _log(room: str, after: int) -> Row:
    return {"_id": {"$gt": _entry(room, after), "$lt": _entry(room, MaxKey())}}
