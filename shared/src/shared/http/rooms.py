"""Rooms over WebSocket (WS): the handshake, the frames, and the end of a connection."""

import asyncio
from collections import deque
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from shared.errors import TimedOut, Unavailable
from shared.http.access import check_address, check_scope
from shared.http.answers import Answers
from shared.http.call import Answer, Call, request_id_of
from shared.http.conversation import Conversation
from shared.http.problems import ProblemError
from shared.http.routing import Routes
from shared.http.state import State
from shared.rules import limits

NORMAL, NO_TEXT, REFUSED, TOO_LARGE, TRY_LATER = 1000, 1003, 1008, 1009, 1013
"""Close codes, RFC 6455 section 7.4.1 and the IANA registry."""

CLOSE_SECONDS = 5.0
"""How long the close frame may wait behind what a slow client has not read."""

QUEUE_LETTERS = 4 * 1024 * 1024
"""Of all frames that wait for one client; there may be `SUBSCRIBER_QUEUE` of them."""

_BEARER = "bearer"

router = Routes("rooms")


@router.get("/ws", Answers(200, None))
async def refuse_plain_requests(call: Call) -> Answer:
    """WS-1"""
    raise ProblemError("upgrade-required", headers=[(b"upgrade", b"websocket"), (b"connection", b"upgrade")])


async def talk(state: State, socket: WebSocket) -> None:
    """One connection, from its handshake to its end."""
    if not _is_own_origin(socket, state.settings.allowed_origins):
        problem = ProblemError("forbidden", "Pages of this origin may not connect.")
        body = problem.body(state.settings.root_path + socket.scope["path"])
        headers = {"x-request-id": request_id_of(socket.headers.get("x-request-id"))}
        await socket.send_denial_response(
            Response(body, problem.status, headers, media_type="application/problem+json")
        )
        return
    offered = _offered_token(socket)
    await socket.accept(subprotocol=_BEARER if _BEARER in socket.scope.get("subprotocols", ()) else None)
    name, scopes = None, None
    try:
        if state.access is None:
            check_address(socket.scope)
        else:
            name, scopes = state.access.read(offered)
            check_scope(scopes, "GET")
    except ProblemError:
        await _close(socket, REFUSED)
        return
    try:
        await _close(socket, await Connection(socket).run(state, name, scopes))
    except (Unavailable, TimedOut):
        await _close(socket, TRY_LATER)


class Connection:
    """What is to be sent waits in a queue: whoever speaks never waits for this client."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._frames: deque[str] = deque()
        self._letters = 0
        self._news = asyncio.Event()
        # it is slow, or was taken for gone
        self._must_reconnect = asyncio.Event()

    async def run(self, state: State, name: str | None, scopes: frozenset[str] | None) -> int:
        """Until either side ends it; answers the close code. Raises Unavailable, TimedOut before it began."""
        async with state.rooms.present(name, self.hear, self._must_reconnect.set) as member:
            self.hear(member.frame("welcome", client_id=member.id, name=member.name))
            async with Conversation(state, member, scopes, self._must_reconnect.set) as conversation:
                receiving = asyncio.create_task(self._receive(conversation))
                sending = asyncio.create_task(self._send())
                ended = asyncio.create_task(self._must_reconnect.wait())
                tasks = {receiving, sending, ended}
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
        if self._must_reconnect.is_set():
            return TRY_LATER
        return NORMAL if receiving.cancelled() else receiving.result()

    def hear(self, frame: str) -> None:
        if len(self._frames) >= limits.SUBSCRIBER_QUEUE or self._letters > QUEUE_LETTERS:
            self._must_reconnect.set()
            return
        self._frames.append(frame)
        self._letters += len(frame)
        self._news.set()

    async def _receive(self, conversation: Conversation) -> int:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return NORMAL
            text = message.get("text")
            if text is None:
                return NO_TEXT
            if len(text) > limits.FRAME_MAX_BYTES or len(text.encode()) > limits.FRAME_MAX_BYTES:
                return TOO_LARGE
            await conversation.answer(text)

    async def _send(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._frames:
                    frame = self._frames.popleft()
                    self._letters -= len(frame)
                    await self._socket.send_text(frame)
        except (WebSocketDisconnect, RuntimeError):
            """The client is gone, or a close frame went out before: nobody reads what is left."""


async def _close(socket: WebSocket, code: int) -> None:
    states = (socket.client_state, socket.application_state)
    if states != (WebSocketState.CONNECTED, WebSocketState.CONNECTED):
        return
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code)
    except (TimeoutError, WebSocketDisconnect, RuntimeError):
        """It does not read, or is gone: the server drops the connection when this task ends."""


def _offered_token(socket: WebSocket) -> str:
    """From `Authorization`, else `?token=`, else the subprotocol after `bearer`."""
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == _BEARER:
        return token.strip(" ")
    if "token" in socket.query_params:
        return socket.query_params["token"]
    protocols = [*socket.scope.get("subprotocols", ())]
    place = protocols.index(_BEARER) + 1 if _BEARER in protocols else len(protocols)
    return protocols[place] if place < len(protocols) else ""


def _is_own_origin(socket: WebSocket, allowed: frozenset[str]) -> bool:
    """What is no browser sends no origin. The scheme may differ: it ends at a proxy."""
    origin = socket.headers.get("origin")
    if origin is None or origin in allowed:
        return True
    try:
        return urlsplit(origin).netloc.lower() == socket.headers.get("host", "").lower()
    except ValueError:
        return False
