"""uvicorn's HTTP/1.1 and WebSockets, with what they leave open: how large a head may be and how long on its
way, what an Upgrade is, and that whatever a client sends, the process ends well."""

import asyncio
from typing import Any, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

HEAD_MAX_BYTES: Final = 64 * 1024
"""Of the request line and all headers; what came with its start in one piece is not counted."""
HEAD_SECONDS: Final = 20.0
"""For a head, from its first piece on; for a new connection, until the first one begins."""

_UNREADABLE: Final = "Invalid HTTP request received."


class BoundedSockets(WebSocketsSansIOProtocol):
    """What one of them raises while the process ends would keep everything else from ending."""

    def shutdown(self) -> None:
        # a close that its client does not read is still there, and cannot be told another
        if not self.transport.is_closing():
            super().shutdown()

    def begin_refusal(self) -> bytes:
        """What the library has to say of a handshake that it could not read, which may be nothing."""
        self.handshake_complete = self.close_sent = True
        return b"".join(self.conn.data_to_send())


class BoundedProtocol(HttpToolsProtocol):
    """Whatever fits into one piece, as nearly all requests do, costs nothing more.

    Its WebSockets must be BoundedSockets.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._is_in_head = False
        self._has_begun = False
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_waiting()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._has_begun = False
        try:
            self._feed(data)
        except HttpParserError:
            self.logger.warning(_UNREADABLE)
            self.send_400_response(_UNREADABLE)
        except HttpParserUpgrade:
            self.handle_websocket_upgrade()
        else:
            self._watch(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = self._has_begun = True

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_in_head = False
        if not self.parser.should_upgrade():
            # trailers come as headers do: the request has its own by now, and keeps them
            self.headers = []

    def handle_websocket_upgrade(self) -> None:
        self._stop_waiting()
        if self._is_answering():
            # the new protocol would write into the answer
            self.transport.close()
            return
        super().handle_websocket_upgrade()
        sockets = cast(BoundedSockets, self.transport.get_protocol())
        if sockets.handshake_initiated:
            return
        # a body, a line or a number of headers that is refused before there is a request: nobody is told
        if refusal := sockets.begin_refusal():
            self.transport.write(refusal)
            self.transport.close()
        else:
            self.send_400_response("The WebSocket handshake cannot be read.")

    def send_400_response(self, msg: str) -> None:
        if self._is_answering():
            # it would be read as a part of the answer, or as all of it
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _should_upgrade(self) -> bool:
        # of a head that the parser stops behind nothing is done before it is known what for
        return True

    def _feed(self, data: bytes) -> None:
        """Raises HttpParserError, and HttpParserUpgrade for a WebSocket's handshake.

        The parser takes all that is behind a head with an Upgrade for another protocol's, a body too. Any
        that is not a WebSocket's is ignored (RFC 9110, 7.8): the head is read once more without it.
        """
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except HttpParserUpgrade as upgrade:
                if self.parser.get_method() == b"CONNECT":
                    raise HttpParserError("no tunnels") from None
                if self._get_upgrade() == b"websocket":
                    raise
                rest = memoryview(rest)[upgrade.args[0] :]
            self._feed_without_upgrade()

    def _feed_without_upgrade(self) -> None:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        # the old one reads nothing more behind a head that says `close`
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def _watch(self, received: int) -> None:
        if self._is_in_head:
            self._wait_for_more(received)
        elif self._is_answering():
            self._stop_waiting()
        elif self.cycle is not None and not self.transport.is_closing():
            # no request yet, only what may stand before one, or the rest of one that has its answer
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _wait_for_more(self, received: int) -> None:
        if self._has_begun:
            # in the same piece there may have been a body of any size
            self._head_bytes = 0
            self._start_waiting()
            return
        self._head_bytes += received
        if self._head_bytes > HEAD_MAX_BYTES:
            self._give_up()

    def _give_up(self) -> None:
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._is_in_head = False
            self.send_400_response("The request's head is too large, or too long on its way.")
        else:
            self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_waiting(self) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
