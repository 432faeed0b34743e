"""A real SMTP server on loopback, which can be told to refuse, to be slow, or not to be there."""

import asyncio
import time
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Final, Self, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

ACCEPTED: Final = "250 OK"
REFUSED: Final = "451 try again later"


@dataclass(frozen=True)
class Received:
    """A mail that was handed in, whatever was answered. `at` is of the monotonic clock."""

    recipient: str
    message: EmailMessage
    at: float

    @property
    def text(self) -> str:
        return cast(str, self.message.get_content())


class MailServer:
    """`reply` answers every mail, after `seconds`. `tries` are all mails, `taken` those answered with 250."""

    def __init__(self) -> None:
        self.reply = ACCEPTED
        self.seconds = 0.0
        self.tries: list[Received] = []
        self.taken: list[Received] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def open(self) -> None:
        """Listens, at the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuses new connections."""
        assert self._server is not None
        self._server.close()

    def of(self, subject: str) -> list[Received]:
        """The tries of mails with that subject."""
        return [mail for mail in self.tries if mail.message["Subject"] == subject]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content, reply = cast(bytes, envelope.content), self.reply
        message = cast(EmailMessage, message_from_bytes(content, policy=cast(Any, policy.SMTPUTF8)))
        mail = Received(envelope.rcpt_tos[0], message, time.monotonic())
        self.tries.append(mail)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if reply == ACCEPTED:
            self.taken.append(mail)
        return reply

    def _protocol(self) -> SMTP:
        return SMTP(self, hostname="mail.example", enable_SMTPUTF8=True, loop=asyncio.get_running_loop())
