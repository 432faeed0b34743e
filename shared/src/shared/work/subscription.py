"""One subscriber's way through the log: pages of history, then what is live, without a gap or a double."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from shared.errors import PositionLost, TimedOut, Unavailable
from shared.rules import limits
from shared.schemas.events import EventRecord, Topic
from shared.work.published import Item, Log, Published, Reset
from shared.work.tail import FIRST_PAUSE, LONGEST_PAUSE

_PAGE = 500


class TooSlow(Exception):
    """The subscriber's queue was full: it is cut off, and may resume."""


class Subscription:
    """`head` is where a new subscriber starts; None for one that resumes. `live` are those that hear what the
    tail brings. `cut` is set with TooSlow, for whoever cannot come for it."""

    def __init__(
        self,
        log: Log,
        live: set["Subscription"],
        topic: Topic | None,
        owner_id: UUID | None,
        cut: asyncio.Event | None,
    ) -> None:
        self.head: str | None = None
        self._log = log
        self._live = live
        self._topic = topic
        self._owner_id = owner_id
        self._cut = cut or asyncio.Event()
        # everything up to it was handed out, or is of no concern
        self._position = ""
        # beyond it, but of the time before the subscription
        self._past: frozenset[str] = frozenset()
        self._first: Sequence[Item] = []
        self._queue: deque[Item] = deque()
        self._is_joined = False
        self._is_ended = False
        self._arrived = asyncio.Event()

    async def begin(self, last_event_id: str | None) -> None:
        """Raises Unavailable, TimedOut."""
        position = None if last_event_id is None else self._log.position(last_event_id)
        if position is not None:
            self._position = position
            self._first = await self._next_page()
        elif last_event_id is None:
            self.head = (await self._join_at_head()).id
        else:
            self._first = [await self._join_at_head()]

    async def some(self, within: float | None = None) -> Sequence[Item]:
        """What comes next, in order: empty after `within` seconds of silence, or once ended. Raises TooSlow.
        While the database is away there is silence."""
        deadline = None if within is None else asyncio.get_running_loop().time() + within
        items, self._first = self._first, []
        pause = FIRST_PAUSE
        while not (items or self._is_joined or self._is_ended or _is_past(deadline)):
            try:
                items = await self._next_page()
            except (Unavailable, TimedOut):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        return items or await self._heard(deadline)

    async def __aiter__(self) -> AsyncIterator[Item]:
        while not self._is_ended:
            for item in await self.some():
                yield item

    def offer(self, item: Item) -> None:
        """Something that the tail brings. Never waits."""
        if isinstance(item, Published) and not self._wants(item.record):
            return
        if len(self._queue) < limits.SUBSCRIBER_QUEUE:
            self._queue.append(item)
            self._arrived.set()
        elif self._is_joined:
            self._leave()
            self._cut.set()
            self._arrived.set()
        else:
            # still reading history: there it will meet this again
            self._leave()

    def end(self) -> None:
        """No more items: who waits for some gets none."""
        self._leave()
        self._is_ended = True
        self._arrived.set()

    async def _next_page(self) -> Sequence[Item]:
        """Hears what the tail brings before it asks what is there: between the two nothing can slip through,
        and positions tell what came both ways. A page that is not full is the last one."""
        self._live.add(self)
        try:
            page = await self._log.after(self._position, _PAGE)
        except PositionLost:
            self._leave()
            return [await self._join_at_head()]
        except BaseException:
            self._leave()
            raise
        if len(page) == _PAGE:
            self._leave()
        self._is_joined = self in self._live
        if page:
            self._position = page[-1].position
        return [self._log.published(record) for record in page if self._wants(record)]

    async def _join_at_head(self) -> Reset:
        self._live.add(self)
        try:
            head = await self._log.head()
            self._past = await self._log.pending(head.position)
        except BaseException:
            self._leave()
            raise
        self._is_joined = True
        self._position = head.position
        return head

    def _leave(self) -> None:
        self._live.discard(self)
        self._queue.clear()

    async def _heard(self, deadline: float | None) -> Sequence[Item]:
        while not (items := self._drained()) and not self._is_ended:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return items

    def _drained(self) -> Sequence[Item]:
        """What the queue holds beyond the position. Raises TooSlow."""
        if self._cut.is_set():
            raise TooSlow
        items: list[Item] = []
        for item in self._queue:
            position = item.position if isinstance(item, Reset) else item.record.position
            # a reset may go back, to the start of a log that was made anew
            if isinstance(item, Reset) or (position > self._position and position not in self._past):
                self._position = position
                items.append(item)
        self._queue.clear()
        return items

    def _wants(self, record: EventRecord) -> bool:
        if self._topic not in (None, record.topic):
            return False
        return self._owner_id is None or self._owner_id in (record.owner_id, record.previous_owner_id)


def _is_past(deadline: float | None) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() >= deadline
