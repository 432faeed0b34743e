"""The rooms of a process (WS): its connections, and what they hear of each room's log.

Everything said in a room goes through the log that all processes share, its own members' words too: so all of
them hear the same posts in the same order, each once. The log decides who is in a room: a member is in from
the place of its `joined` to that of its `left`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from shared.errors import TimedOut, Unavailable
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
    """A connection of this process. `hear` takes a frame at once, and never waits."""

    def __init__(self, client_id: UUID, name: str, hear: Callable[[str], None]) -> None:
        self.id = client_id
        self.name = name
        self.rooms: set[str] = set()
        self.hear = hear

    def frame(self, kind: str, **fields: object) -> str:
        return orjson.dumps({"type": kind, **fields}, default=str).decode()


class Room:
    """What this process has heard of a room: all posts up to `place`, None while nobody knows where to start.
    Posts that came too early wait until those before them are there."""

    def __init__(self, place: int | None) -> None:
        self.place = place
        self.joining: dict[UUID, Member] = {}
        self.members: dict[UUID, Member] = {}
        self._early: dict[int, Post] = {}

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
        return not self._early

    def _hand_on(self, post: Post) -> None:
        frame: dict[str, Any] = orjson.loads(post.frame)
        text = post.frame if post.seq is None else orjson.dumps({**frame, "seq": post.seq}).decode()
        subject = UUID(frame["client_id"]) if frame["type"] in ("joined", "left") else None
        if subject in self.joining and frame["type"] == "joined":
            self.members[subject] = self.joining.pop(subject)
        for member in self.members.values():
            member.hear(text)
        if subject is not None and frame["type"] == "left":
            self.members.pop(subject, None)


class Rooms:
    def __init__(self, backend: Backend, feed: Feed, lease: float) -> None:
        self._lease = timedelta(seconds=lease)
        self._backend = backend
        self._feed = feed
        self._members: dict[UUID, Member] = {}
        self._rooms: dict[str, Room] = {}
        self._following = AsyncExitStack()
        self._turns = asyncio.Lock()
        self._catching_up: dict[str, asyncio.Task[None]] = {}

    @property
    def connections(self) -> int:
        return len(self._members)

    @asynccontextmanager
    async def present(self, name: str | None, hear: Callable[[str], None]) -> AsyncIterator[Member]:
        """A member for as long as its connection lasts, known to all processes. Raises Unavailable,
        TimedOut."""
        client_id = ids.new_id()
        member = Member(client_id, name or f"guest-{client_id.hex[-6:]}", hear)
        try:
            await self._arrive(member)
            yield member
        finally:
            await self._depart(member)

    async def join(self, member: Member, name: str) -> None:
        """Raises Unavailable, TimedOut; the member is not in the room then."""
        joined = member.frame("joined", room=name, client_id=member.id, name=member.name)
        if name in member.rooms:
            member.hear(joined)
            return
        room = self._rooms.setdefault(name, Room(None))
        room.joining[member.id] = member
        try:
            async with self._backend.unit_of_work() as work:
                await work.rooms.move(member.id, [*member.rooms, name])
                place = await work.rooms.post(name, joined, clock.now(), counted=False)
        except BaseException:
            room.joining.pop(member.id, None)
            self._drop_if_empty(name)
            raise
        member.rooms.add(name)
        room.start(place)
        asyncio.get_running_loop().call_later(HEARD_SECONDS, self._check_heard, name, place)

    async def leave(self, member: Member, name: str) -> None:
        """Raises Unavailable, TimedOut; the member is in the room still."""
        left = member.frame("left", room=name, client_id=member.id, name=member.name)
        async with self._backend.unit_of_work() as work:
            await work.rooms.post(name, left, clock.now(), counted=False)
            await work.rooms.move(member.id, [room for room in member.rooms if room != name])
        member.rooms.discard(name)

    async def say(self, member: Member, name: str, text: str) -> None:
        """Raises Unavailable, TimedOut."""
        moment = clock.now()
        said = {"from": member.id, "name": member.name, "text": text, "at": clock.rfc3339(moment)}
        async with self._backend.unit_of_work() as work:
            await work.rooms.post(name, member.frame("message", room=name, **said), moment, counted=True)

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
            await work.rooms.renew([*self._members], moment + self._lease)
            for client in await work.rooms.expire(moment):
                gone = Member(client.id, client.name, _nobody)
                for name in client.rooms:
                    left = gone.frame("left", room=name, client_id=client.id, name=client.name)
                    await work.rooms.post(name, left, moment, counted=False)

    async def close(self) -> None:
        await asyncio.gather(*self._catching_up.values(), return_exceptions=True)
        await self._following.aclose()

    async def _arrive(self, member: Member) -> None:
        async with self._turns:
            if not self._members:
                await self._following.enter_async_context(self._feed.follow(self.hear))
            self._members[member.id] = member
        own = self._rooms[inbox(member.id)] = Room(0)
        own.members[member.id] = member
        client = Client(member.id, member.name, [])
        async with self._backend.unit_of_work() as work:
            await work.rooms.arrive(client, clock.now() + self._lease)

    async def _depart(self, member: Member) -> None:
        for name in (*member.rooms, inbox(member.id)):
            if (room := self._rooms.get(name)) is not None:
                room.members.pop(member.id, None)
                self._drop_if_empty(name)
        try:
            for name in [*member.rooms]:
                await self.leave(member, name)
            async with self._backend.unit_of_work() as work:
                await work.rooms.depart(member.id)
        except (Unavailable, TimedOut):
            _log.info("client %s left while the database was away: its lease tells the others", member.id)
        finally:
            async with self._turns:
                self._members.pop(member.id, None)
                if not self._members:
                    await self._following.aclose()

    def _check_heard(self, name: str, place: int) -> None:
        """A post whose news were lost just when the feed was connected again is read from the log."""
        room = self._rooms.get(name)
        if room is not None and room.place is not None and room.place < place:
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


def _nobody(_: str) -> None:
    """Hears for a client that is gone."""


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
