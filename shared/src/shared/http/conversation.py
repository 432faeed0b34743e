"""What a connection's frames ask for, and what they are answered (WS-1, WS-3, WS-4)."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import pydantic_core
from pydantic import ValidationError

from shared.errors import TimedOut, Unavailable
from shared.http.problems import field_errors_of
from shared.http.state import State
from shared.schemas.events import Topic
from shared.schemas.frames import Direct, Echo, Frame, Join, Leave, Ping, Say, Subscribe
from shared.work.published import Reset
from shared.work.rooms import Member
from shared.work.subscription import TooSlow

_FRAMES: Final[dict[str, type[Frame]]] = {
    "ping": Ping,
    "echo": Echo,
    "join": Join,
    "leave": Leave,
    "message": Say,
    "direct": Direct,
    "subscribe": Subscribe,
}


class FrameRefused(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


class Conversation:
    """Frames are answered one after another, in the order that they came. `fall_behind` is called when the
    client's subscriptions bring more than it reads."""

    def __init__(
        self,
        state: State,
        member: Member,
        scopes: frozenset[str] | None,
        fall_behind: Callable[[], None],
    ) -> None:
        self._state = state
        self._member = member
        self._scopes = scopes
        self._fall_behind = fall_behind
        self._subscriptions: dict[Topic, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._subscriptions.values():
            task.cancel()
        await asyncio.gather(*self._subscriptions.values(), return_exceptions=True)

    async def answer(self, text: str) -> None:
        try:
            await self._act(_read(text))
        except FrameRefused as refused:
            self._refuse(refused.code, refused.detail)
        except (Unavailable, TimedOut):
            self._refuse("unavailable", "The database is away: whether this took effect is unknown.")

    async def _act(self, frame: Frame) -> None:
        match frame:
            case Ping():
                self._reply({"type": "pong", **frame.model_dump(include={"data"}, exclude_unset=True)})
            case Echo():
                self._reply(frame.model_dump(exclude_unset=True))
            case Join():
                await self._state.rooms.join(self._member, frame.room)
            case Leave():
                self._check_in(frame.room)
                await self._state.rooms.leave(self._member, frame.room)
            case Say():
                self._check_may_write()
                self._check_in(frame.room)
                await self._state.rooms.say(self._member, frame.room, frame.text)
            case Direct():
                self._check_may_write()
                if not await self._state.rooms.direct(self._member, frame.to, frame.text):
                    raise FrameRefused("unknown-client", "Nobody of that id is connected.")
            case Subscribe():
                await self._subscribe(frame.topic)

    async def _subscribe(self, topic: Topic) -> None:
        if topic not in self._subscriptions:
            is_live: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._subscriptions[topic] = asyncio.create_task(self._pass_on(topic, is_live))
            try:
                await is_live
            except (Unavailable, TimedOut):
                del self._subscriptions[topic]
                raise
        self._member.hear(self._member.frame("subscribed", topic=topic))

    async def _pass_on(self, topic: Topic, is_live: asyncio.Future[None]) -> None:
        try:
            async with self._state.feed.subscribe(topic, None, None) as subscription:
                is_live.set_result(None)
                async for item in subscription:
                    if isinstance(item, Reset):
                        break
                    self._member.hear(f'{{"type":"event","event":{item.data.decode()}}}')
        except (Unavailable, TimedOut) as error:
            is_live.set_exception(error)
            return
        except TooSlow:
            """Told like every other gap: by the end of the connection."""
        self._fall_behind()

    def _check_in(self, room: str) -> None:
        if room not in self._member.rooms:
            raise FrameRefused("not-in-room", "Join the room first.")

    def _check_may_write(self) -> None:
        if self._scopes is not None and "write" not in self._scopes:
            raise FrameRefused("forbidden", "The access token lacks the scope 'write'.")

    def _refuse(self, code: str, detail: str) -> None:
        self._reply({"type": "error", "code": code, "detail": detail})

    def _reply(self, frame: dict[str, Any]) -> None:
        # the parser takes longer integers than the usual writer does
        written = pydantic_core.to_json(frame, inf_nan_mode="constants")
        if written != pydantic_core.to_json(frame, inf_nan_mode="null"):
            # such as 1e400, which the parser takes for infinite
            raise FrameRefused("malformed", "The frame holds a number that is too large.")
        self._member.hear(written.decode())


def _read(text: str) -> Frame:
    try:
        value = pydantic_core.from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise FrameRefused("malformed", "The frame is no JSON.") from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise FrameRefused("malformed", "A frame is an object with a type.")
    model = _FRAMES.get(value["type"])
    if model is None:
        raise FrameRefused("unknown-type", f"The types are {', '.join(_FRAMES)}.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = field_errors_of(error, "frame")[0]
        place = ".".join(map(str, first.loc[1:]))
        raise FrameRefused("invalid", f"{place or 'frame'}: {first.msg}") from error
