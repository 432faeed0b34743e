"""The rooms of a process (WS): its connections, and what they hear of each room's log.

Everything said in a room goes through the log that all processes share, its own members' words too: so all of
them hear the same posts in the same order, each once. The log decides who is in a room: a member is in from
the place of its `joined` to that of its `left`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from shared.errors import TimedOut, Unavailable
from shared.finishing import finished
from shared.ports.backend import Backend
from shared.rules import clock, ids
from shared.schemas.rooms import Client, Post, inbox
from shared.work.feed import Feed

RENEWALS = 4
"""Of a client's lease, before it would end."""
HEARD_SECONDS = 1.0
"""How long a post may take to be heard by its own process."""

_log = logging.getLogger("assay.rooms")


class Member:
    """A connection of this process. `hear` takes a frame at once, and never waits; `end` asks for the end of
    the connection."""

    def __init__(
        self, client_id: UUID, name: str, hear: Callable[[str], None], end: Callable[[], None]
    ) -> None:
        self.id = client_id
        self.name = name
        self.rooms: set[str] = set()
        # of which nobody knows whether the database took the joining
        self.doubtful: set[str] = set()
        self.hear = hear
        self.end = end

    @staticmethod
    def frame(kind: str, **fields: object) -> str:
        return orjson.dumps({"type": kind, **fields}, default=str).decode()


class Room:
    """What this process has heard of a room: all posts up to `place`, None while nobody knows where to start.
    Posts that came too early wait until those before them are there."""

    def __init__(self, place: int | None) -> None:
        self.place = place
        self.joining: dict[UUID, Member] = {}
        self.members: dict[UUID, Member] = {}
        self._early: dict[int, Post] = {}
        self._awaited: dict[asyncio.Future[None], int] = {}

    @property
    def is_empty(self) -> bool:
        return not self.members and not self.joining

    def start(self, place: int) -> None:
        """Hear everything from there on, if nobody here has started before."""
        if self.place is None:
            self.place = place - 1
            self.take([])

    def take(self, posts: Sequence[Post]) -> bool:
        """Hands on what is in order now; False where posts are missing in between."""
        self._early.update((post.place, post) for post in posts)
        if self.place is None:
            return True
        while (post := self._early.pop(self.place + 1, None)) is not None:
            self.place = post.place
            self._hand_on(post)
        self._early = {place: post for place, post in self._early.items() if place > self.place}
        for waiting, place in self._awaited.items():
            if place <= self.place and not waiting.done():
                waiting.set_result(None)
        return not self._early

    async def has_heard(self, place: int) -> bool:
        """Once it has; False where it has not within `HEARD_SECONDS`."""
        if self.place is not None and place <= self.place:
            return True
        waiting = asyncio.get_running_loop().create_future()
        self._awaited[waiting] = place
        try:
            async with asyncio.timeout(HEARD_SECONDS):
                await waiting
        except TimeoutError:
            return False
        finally:
            del self._awaited[waiting]
        return True

    def _hand_on(self, post: Post) -> None:
        frame: dict[str, Any] = orjson.loads(post.frame)
        text = post.frame if post.seq is None else orjson.dumps({**frame, "seq": post.seq}).decode()
        subject = UUID(frame["client_id"]) if frame["type"] in ("joined", "left") else None
        if subject in self.joining and frame["type"] == "joined":
            self.members[subject] = self.joining.pop(subject)
            self.members[subject].rooms.add(post.room)
        for member in self.members.values():
            member.hear(text)
        if subject in self.members and frame["type"] == "left":
            # whoever posted it: a process that took this one for gone does it too
            self.members.pop(subject).rooms.discard(post.room)


class Rooms:
    def __init__(self, backend: Backend, feed: Feed, lease: float) -> None:
        self._lease = timedelta(seconds=lease)
        self._backend = backend
        self._feed = feed
        self._members: dict[UUID, Member] = {}
        self._rooms: dict[str, Room] = {}
        self._catching_up: dict[str, asyncio.Task[None]] = {}

    @property
    def connections(self) -> int:
        return len(self._members)

    @asynccontextmanager
    async def present(
        self, name: str | None, hear: Callable[[str], None], end: Callable[[], None]
    ) -> AsyncIterator[Member]:
        """A member for as long as its connection lasts, known to all processes. Raises Unavailable,
        TimedOut."""
        client_id = ids.new_id()
        member = Member(client_id, name or f"guest-{client_id.hex[-6:]}", hear, end)
        # each for itself: nobody waits until others were told that the database is away
        async with self._feed.follow(self.hear):
            await self._arrive(member)
            try:
                yield member
            finally:
                await self._depart(member)

    async def join(self, member: Member, name: str) -> None:
        """Raises Unavailable, TimedOut; whether the member is in the room may be unknown then."""
        joined = member.frame("joined", room=name, client_id=member.id, name=member.name)
        if name in member.rooms:
            member.hear(joined)
            return
        await self._heard(name, await finished(self._enter(member, name, joined)))

    async def leave(self, member: Member, name: str) -> None:
        """Raises Unavailable, TimedOut; the member is in the room still."""
        await self._heard(name, await finished(self._go(member, name)))

    async def say(self, member: Member, name: str, text: str) -> None:
        """Raises Unavailable, TimedOut."""
        moment = clock.now()
        said = {"from": member.id, "name": member.name, "text": text, "at": clock.rfc3339(moment)}
        message = member.frame("message", room=name, **said)
        async with self._backend.unit_of_work() as work:
            place = await work.rooms.post(name, message, moment, counted=True)
        await self._heard(name, place)

    async def direct(self, member: Member, to: UUID, text: str) -> bool:
        """False where nobody knows the client. Raises Unavailable, TimedOut."""
        moment = clock.now()
        said = {"from": member.id, "name": member.name, "text": text, "at": clock.rfc3339(moment)}
        async with self._backend.unit_of_work() as work:
            return await work.rooms.direct(to, member.frame("direct", **said), moment)

    def hear(self, posts: Sequence[Post] | None) -> None:
        """What the feed brings; None: something may have been missed."""
        if posts is None:
            for name in self._rooms:
                self._catch_up(name)
            return
        by_room: dict[str, list[Post]] = {}
        for post in posts:
            by_room.setdefault(post.room, []).append(post)
        for name, new in by_room.items():
            self._take(name, new)

    async def renew(self) -> None:
        """Keeps this process's clients known, and tells the rooms of those whose process is gone."""
        moment = clock.now()
        async with self._backend.unit_of_work() as work:
            clients = [*self._members]
            renewed = await work.rooms.renew(clients, moment + self._lease)
        # who departs meanwhile is gone, and forgotten by nobody
        forgotten = self._members.keys() & {*clients}.difference(renewed)
        if forgotten:
            await self._end([self._members[client_id] for client_id in forgotten])
        # however many are gone, the next renewal is in time
        while clock.now() < moment + self._lease / RENEWALS and await self._expire(moment):
            pass

    async def close(self) -> None:
        await asyncio.gather(*self._catching_up.values(), return_exceptions=True)

    async def _expire(self, moment: datetime) -> bool:
        async with self._backend.unit_of_work() as work:
            return await work.rooms.expire(moment, _farewell)

    async def _end(self, forgotten: Sequence[Member]) -> None:
        """Of members that lapsed while this process could not renew them: their rooms were told that they
        left. A new connection knows that it has to join again."""
        # who has heard it by now does not tell it once more
        for name in {name for member in forgotten for name in member.rooms}:
            await self._read_log(name)
        _log.warning("%d clients were taken for gone, and are to connect again", len(forgotten))
        for member in forgotten:
            member.end()

    async def _arrive(self, member: Member) -> None:
        own = self._rooms[inbox(member.id)] = Room(0)
        own.members[member.id] = member
        client = Client(member.id, member.name, [])
        try:
            async with self._backend.unit_of_work() as work:
                await work.rooms.arrive(client, clock.now() + self._lease)
        except BaseException:
            # what may be stored is in no room, and ends with its lease: to take it back would cost who waits
            # for the answer as long again
            del self._rooms[inbox(member.id)]
            raise
        self._members[member.id] = member

    async def _depart(self, member: Member) -> None:
        del self._members[member.id]
        for name in (*member.rooms, *member.doubtful, inbox(member.id)):
            if (room := self._rooms.get(name)) is not None:
                room.members.pop(member.id, None)
                self._drop_if_empty(name)
        try:
            for name in {*member.rooms, *member.doubtful}:
                await self._go(member, name)
            async with self._backend.unit_of_work() as work:
                await work.rooms.depart(member.id)
        except (Unavailable, TimedOut):
            _log.info("client %s left while the database was away: its lease tells the others", member.id)

    async def _enter(self, member: Member, name: str, joined: str) -> int:
        """The place of `joined` in the room's log."""
        room = self._rooms.setdefault(name, Room(None))
        room.joining[member.id] = member
        try:
            async with self._backend.unit_of_work() as work:
                await work.rooms.move(member.id, [*member.rooms, name])
                place = await work.rooms.post(name, joined, clock.now(), counted=False)
        except BaseException as error:
            room.joining.pop(member.id, None)
            self._drop_if_empty(name)
            if not isinstance(error, Unavailable) or error.outcome_unknown:
                member.doubtful.add(name)
            raise
        member.rooms.add(name)
        member.doubtful.discard(name)
        room.start(place)
        return place

    async def _go(self, member: Member, name: str) -> int:
        """The place of `left` in the room's log."""
        left = member.frame("left", room=name, client_id=member.id, name=member.name)
        async with self._backend.unit_of_work() as work:
            place = await work.rooms.post(name, left, clock.now(), counted=False)
            await work.rooms.move(member.id, [room for room in member.rooms if room != name])
        member.rooms.discard(name)
        member.doubtful.discard(name)
        return place

    async def _heard(self, name: str, place: int) -> None:
        """Who speaks hears it before anything that is asked next is answered (WS: frames are answered in
        their order). What got lost just when the feed was connected again is read from the log."""
        room = self._rooms.get(name)
        if room is not None and not await room.has_heard(place):
            self._catch_up(name)

    def _take(self, name: str, posts: Sequence[Post]) -> None:
        room = self._rooms.get(name)
        if room is None:
            return
        if not room.take(posts):
            self._catch_up(name)
        self._drop_if_empty(name)

    def _drop_if_empty(self, name: str) -> None:
        if (room := self._rooms.get(name)) is not None and room.is_empty:
            del self._rooms[name]

    def _catch_up(self, name: str) -> None:
        if name not in self._catching_up:
            task = asyncio.create_task(self._read_log(name))
            self._catching_up[name] = task
            task.add_done_callback(lambda _: self._catching_up.pop(name))

    async def _read_log(self, name: str) -> None:
        room = self._rooms.get(name)
        if room is None or room.place is None:
            return
        try:
            async with self._backend.unit_of_work() as work:
                posts = await work.rooms.after(name, room.place)
        except (Unavailable, TimedOut):
            _log.info("room %s: its log cannot be read now; the next post tries again", name)
            return
        self._take(name, posts)


def _farewell(client: Client, room: str) -> str:
    return Member.frame("left", room=room, client_id=client.id, name=client.name)


@asynccontextmanager
async def open_rooms(backend: Backend, feed: Feed, lease: float) -> AsyncIterator[Rooms]:
    """`lease` is how many seconds a client is known that no process renews."""
    rooms = Rooms(backend, feed, lease)
    renewing = asyncio.create_task(_renewing(rooms, lease / RENEWALS))
    try:
        yield rooms
    finally:
        renewing.cancel()
        await asyncio.wait({renewing})
        await rooms.close()


async def _renewing(rooms: Rooms, pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        if rooms.connections:
            try:
                await rooms.renew()
            except (Unavailable, TimedOut):
                _log.info("the clients' leases cannot be renewed now; trying again in %s s", pause)
            except Exception:  # noqa: BLE001 - without leases every client would be forgotten
                _log.exception("the clients' leases were not renewed; trying again in %s s", pause)
