"""What subscribers of the change feed get. Each event is written once, for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import TypeAdapter

from shared.ports.events import Events
from shared.rules import clock, limits
from shared.rules.event_ids import EventIds
from shared.schemas.events import Event, EventRecord

_EVENT = TypeAdapter(Event)
_KEPT = timedelta(hours=limits.KEPT_HOURS)


@dataclass(frozen=True, slots=True)
class Published:
    """`data` is the event as JSON, `block` the same as a Server-Sent Event."""

    record: EventRecord
    event: Event
    data: bytes
    block: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    """Events may be missing before this place in the log: the subscriber goes on from `id`."""

    position: str
    id: str

    @property
    def data(self) -> bytes:
        return b'{"id":"%b"}' % self.id.encode()

    @property
    def block(self) -> bytes:
        # an event without data is none to a browser
        return b"id: %b\nevent: reset\ndata: %b\n\n" % (self.id.encode(), self.data)


Item = Published | Reset


class Log:
    """The log as subscribers see it: with ids for positions."""

    def __init__(self, events: Events, ids: EventIds) -> None:
        self._events = events
        self._ids = ids

    def published(self, record: EventRecord) -> Published:
        event_id = self._ids.seal(record.position, record.at)
        event = Event(event_id, record.type, record.resource_id, record.owner_id, record.version, record.at)
        data = _EVENT.dump_json(event)
        block = b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), record.type.encode(), data)
        return Published(record, event, data, block)

    def position(self, event_id: str) -> str | None:
        """Where an id goes on, or None where it is forged, of another log or too old."""
        opened = self._ids.open(event_id)
        if opened is None or opened[1] < clock.now() - _KEPT:
            return None
        return opened[0]

    def reset(self, position: str) -> Reset:
        return Reset(position, self._ids.seal(position, clock.now()))

    async def head(self) -> Reset:
        """Raises Unavailable, TimedOut."""
        return self.reset(await self._events.head())

    async def pending(self, position: str) -> frozenset[str]:
        """Raises Unavailable, TimedOut."""
        return await self._events.pending(position)

    async def after(self, position: str, limit: int) -> Sequence[EventRecord]:
        """Raises Unavailable, TimedOut, PositionLost."""
        return await self._events.after(position, limit)
