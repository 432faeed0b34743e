"""Subscribers of the change feed, for tests: every line is checked, events can be waited for."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
from api import TIME, Api
from expectations import Json

SOON: Final = 15.0
"""Seconds in which an event must be there; how long it really takes is a test of its own."""

_FIELDS: Final = {"id", "type", "resource_id", "owner_id", "version", "at"}
_TYPES: Final = {
    f"{one}.{what}" for one in ("user", "document") for what in ("created", "updated", "deleted")
}


class NotSubscribed(AssertionError):
    """The service answered something else than a stream."""


class Silence(AssertionError):
    """No event came in time."""


@dataclass(frozen=True)
class Heard:
    """An event as it came: `event` and `id` of the stream, `data` parsed."""

    event: str
    id: str
    data: Json

    @property
    def change(self) -> tuple[str, str, int]:
        """What happened to what: type, resource and version."""
        return self.event, self.data["resource_id"], self.data["version"]


@dataclass
class Subscriber:
    """`opening` are the lines before the first empty one; `head` the id among them, `last_id` the last one
    that came, where a browser would resume. `ended` is set once the stream is over, `cleanly` then says if
    by its own end."""

    headers: httpx2.Headers
    opening: list[str] = field(default_factory=list)
    head: str = ""
    last_id: str = ""
    heartbeats: int = 0
    cleanly: bool = False
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _heard: asyncio.Queue[Heard] = field(default_factory=asyncio.Queue)

    async def next(self, within: float = SOON) -> Heard:
        """The next event. Raises Silence if none comes in time."""
        try:
            async with asyncio.timeout(within):
                return await self._heard.get()
        except TimeoutError:
            state = "is over" if self.ended.is_set() else "is silent"
            raise Silence(f"EVT-2: no event within {within:g} s: the stream {state}") from None

    async def some(self, count: int, within: float = SOON) -> list[Heard]:
        """The next events, so many."""
        return [await self.next(within) for _ in range(count)]

    async def changes(self, count: int) -> list[tuple[str, str, int]]:
        return [heard.change for heard in await self.some(count)]

    async def of(self, resource_ids: Iterable[str], count: int, within: float = SOON) -> list[Heard]:
        """The next events of these resources, so many; others among them are left out."""
        wanted, found = set(resource_ids), list[Heard]()
        while len(found) < count:
            heard = await self.next(within)
            if heard.data.get("resource_id") in wanted:
                found.append(heard)
        return found

    def waiting(self) -> list[Heard]:
        """What came and was not taken yet."""
        return [self._heard.get_nowait() for _ in range(self._heard.qsize())]

    async def read(self, response: httpx2.Response) -> None:
        """Until the stream is over."""
        lines: list[str] = []
        try:
            async for line in response.aiter_lines():
                if line:
                    lines.append(line)
                else:
                    self._take(lines)
                    lines = []
            self.cleanly = True
        except httpx2.TransportError:
            pass
        finally:
            self.ended.set()
            self.opened.set()

    def _take(self, lines: list[str]) -> None:
        fields = [line.partition(": ") for line in lines if not line.startswith(":")]
        values = {name: value for name, _, value in fields}
        assert len(values) == len(fields), f"EVT-1: repeated fields in {lines}"
        self.last_id = values.get("id", self.last_id)
        if not self.opened.is_set():
            self.opening, self.head = lines, values.get("id", "")
            self.opened.set()
        elif values:
            self._heard.put_nowait(_checked(values))
        else:
            self.heartbeats += 1


def _checked(values: Mapping[str, str]) -> Heard:
    assert set(values) == {"id", "event", "data"}, values
    heard = Heard(values["event"], values["id"], json.loads(values["data"]))
    assert heard.data["id"] == heard.id, values
    if heard.event == "reset":
        return heard
    data = heard.data
    assert set(data) == _FIELDS, values
    assert data["type"] == heard.event in _TYPES, values
    assert [str(uuid.UUID(data[name])) for name in ("resource_id", "owner_id")] == [
        data["resource_id"],
        data["owner_id"],
    ]
    assert type(data["version"]) is int, values
    assert TIME.match(data["at"]), values
    return heard


@asynccontextmanager
async def subscribed(
    api: Api, last_event_id: str | None = None, /, **params: Any
) -> AsyncIterator[Subscriber]:
    """A subscriber whose opening has come; `params` are the query."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with api.stream("/events", params=params, headers=headers) as response:
        if response.status_code != 200:
            raise NotSubscribed(response.text)
        subscriber = Subscriber(response.headers)
        reading = asyncio.create_task(subscriber.read(response))
        try:
            async with asyncio.timeout(SOON):
                await subscriber.opened.wait()
            yield subscriber
        finally:
            reading.cancel()
            await asyncio.wait({reading})
    if not reading.cancelled():
        reading.result()
