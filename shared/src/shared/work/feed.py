"""The change feed of a process (EVT), and how it hears of the others'."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from shared.errors import TimedOut, Unavailable
from shared.ports.backend import Backend
from shared.ports.events import Events
from shared.rules import clock
from shared.rules.event_ids import EventIds
from shared.schemas.events import EventRecord, Topic
from shared.schemas.rooms import Post
from shared.work.histogram import Histogram
from shared.work.published import Item, Log
from shared.work.subscription import Subscription
from shared.work.tail import Tail

_AT_ONCE = 200
"""Events that are handed to all subscribers before these get their turn to pass them on."""

_LAG_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_log = logging.getLogger("assay.feed")

Hear = Callable[[Sequence[Post] | None], None]


class Feed:
    """One tail for all who listen in this process."""

    def __init__(self, events: Events, ids: EventIds) -> None:
        self.lags = Histogram(_LAG_BOUNDS)
        self._events = events
        self._log = Log(events, ids)
        self._tail = Tail(events, self)
        self._followers: Counter[Hear] = Counter()
        self._open: set[Subscription] = set()
        self._live: set[Subscription] = set()
        self._changed = asyncio.Event()

    @property
    def subscriptions(self) -> int:
        return len(self._open)

    @property
    def is_lost(self) -> bool:
        """Somebody listens, and it cannot be followed."""
        return self._tail.is_lost

    def changed(self) -> None:
        """This process committed something."""
        self._changed.set()

    @asynccontextmanager
    async def follow(self, hear: Hear) -> AsyncIterator[None]:
        """`hear` gets the posts of all rooms, and None whenever some may have been missed, as at the start.
        Who follows several times hears everything once. Raises Unavailable."""
        hears_already = hear in self._followers
        self._followers[hear] += 1
        try:
            was_connected = self._tail.is_connected
            async with self._tail.needed():
                if was_connected and not hears_already:
                    hear(None)
                yield
        finally:
            self._followers[hear] -= 1
            if not self._followers[hear]:
                del self._followers[hear]

    @asynccontextmanager
    async def subscribe(
        self,
        topic: Topic | None,
        owner_id: UUID | None,
        last_event_id: str | None,
        cut: asyncio.Event | None = None,
    ) -> AsyncIterator[Subscription]:
        """Events from now on, or after the last one seen. Raises Unavailable, TimedOut. EVT-1, EVT-3"""
        subscription = Subscription(self._log, self._live, topic, owner_id, cut)
        async with self._tail.needed():
            self._open.add(subscription)
            try:
                await subscription.begin(last_event_id)
                yield subscription
            finally:
                subscription.end()
                self._open.discard(subscription)

    def connected(self) -> None:
        for hear in [*self._followers]:
            hear(None)

    def lost(self, head: str) -> None:
        self._offer(self._log.reset(head))

    async def take(self, entries: Sequence[EventRecord | Post]) -> None:
        posts = [entry for entry in entries if isinstance(entry, Post)]
        if posts:
            for hear in [*self._followers]:
                hear(posts)
        records = [entry for entry in entries if isinstance(entry, EventRecord)]
        now = clock.now()
        for record in records:
            # another machine's clock may be ahead
            self.lags.add(max(0.0, (now - record.at).total_seconds()))
        for start in range(0, len(records), _AT_ONCE):
            if not self._live:
                break
            for record in records[start : start + _AT_ONCE]:
                self._offer(self._log.published(record))
            await asyncio.sleep(0)

    def _offer(self, item: Item) -> None:
        for subscription in [*self._live]:
            subscription.offer(item)

    async def announce(self, pause: float) -> None:
        """Tells all processes of what this one committed, for ever; all commits within `pause` seconds at
        once. What could not be told is told later."""
        is_away = False
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._tail.hurry()
            try:
                await self._events.announce()
                is_away = False
            except (Unavailable, TimedOut) as error:
                if not is_away:
                    _log.debug("commits are not announced for now: %r", error)
                is_away = True
                self._changed.set()
            await asyncio.sleep(pause)

    async def close(self) -> None:
        await self._tail.ended()


@asynccontextmanager
async def open_feed(backend: Backend, ids: EventIds, announce_seconds: float) -> AsyncIterator[Feed]:
    feed = Feed(backend.events, ids)
    announcing = asyncio.create_task(feed.announce(announce_seconds))
    try:
        yield feed
    finally:
        announcing.cancel()
        await asyncio.wait({announcing})
        await feed.close()
