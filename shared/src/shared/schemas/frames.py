"""What a client may send over a WebSocket (WS-1, WS-3, WS-4)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.rules import limits
from shared.schemas.documents import Id
from shared.schemas.events import Topic
from shared.schemas.texts import Text

RoomName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,%d}$" % limits.ROOM_NAME_MAX)]  # noqa: UP031
Message = Annotated[Text, Field(min_length=1, max_length=limits.MESSAGE_MAX)]


class Frame(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Ping(Frame):
    type: Literal["ping"]
    data: Any = None


class Echo(Frame):
    """Whatever is in it comes back."""

    model_config = ConfigDict(extra="allow")

    type: Literal["echo"]


class Join(Frame):
    type: Literal["join"]
    room: RoomName


class Leave(Frame):
    type: Literal["leave"]
    room: RoomName


class Say(Frame):
    type: Literal["message"]
    room: RoomName
    text: Message


class Direct(Frame):
    type: Literal["direct"]
    to: Id
    text: Message


class Subscribe(Frame):
    type: Literal["subscribe"]
    topic: Topic
