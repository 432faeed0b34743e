"""Mails notifications: a worker in each process takes them from the outbox, one under a lease (BG-2)."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from aiosmtplib import SMTP, SMTPException

from shared.errors import TimedOut, Unavailable
from shared.ports.backend import Backend
from shared.ports.notifications import Notifications
from shared.rules import clock, ids, limits
from shared.rules.smtp_urls import SmtpServer, smtp_server
from shared.schemas.notifications import Mail
from shared.settings import Settings
from shared.work.letters import letter
from shared.work.stopping import Stopping

_TRY_SHARE = 2 / 3
"""Of the lease, for one try, connecting included: what is left is for telling the database."""
_POLL_SECONDS = 1.0
_GROWTH = 4
_CLOCK_SECONDS = 0.005
"""By which clocks may differ within a process."""
_LEAST_STOP = 0.5

OUTCOMES: Final = ("sent", "put_off", "given_up")

_log = logging.getLogger("assay.mail")

Settlement = Callable[[Notifications], Awaitable[None]]


class Mailer:
    """Takes one mail at a time: a process that stops or dies holds back no other mail. `tries` are counted
    by how they ended."""

    def __init__(self, backend: Backend, settings: Settings, server: SmtpServer, stopping: Stopping) -> None:
        self._backend = backend
        self._sender = settings.mail_from
        self._pause = settings.mail_pause
        self._lease = timedelta(seconds=settings.mail_lease)
        self._try_seconds = settings.mail_lease * _TRY_SHARE
        self._server = server
        self._stopping = stopping
        self._woken = asyncio.Event()
        self._smtp: SMTP | None = None
        self.tries = dict.fromkeys(OUTCOMES, 0)

    def wake(self) -> None:
        """A mail was queued."""
        self._woken.set()

    async def work(self) -> None:
        """Until the process is told to stop."""
        try:
            while not self._stopping.is_set():
                self._woken.clear()
                if not await self._tried_one():
                    await self._part()
                    await _within(_POLL_SECONDS, self._woken)
        finally:
            self._hang_up()

    async def _tried_one(self) -> bool:
        """False where no mail is due, or none can be had."""
        lease, moment = ids.new_id(), clock.now()
        try:
            async with self._backend.unit_of_work() as work:
                mails = await work.notifications.claim(lease, moment, moment + self._lease, 1)
            for mail in mails:
                await self._deliver(mail, lease, moment + self._lease)
        except (Unavailable, TimedOut) as error:
            _log.warning("the outbox waits for the database: %r", error)
            return False
        except Exception:  # noqa: BLE001 - the worker outlives whatever is wrong
            _log.exception("the outbox failed; trying again")
            return False
        return bool(mails)

    async def _deliver(self, mail: Mail, lease: UUID, until: datetime) -> None:
        is_connected = False
        try:
            async with asyncio.timeout(self._try_seconds):
                smtp = await self._connected()
                is_connected = True
                await self._send(smtp, mail)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one mail must not hold up the others
            _log.warning("mail %s: try %d failed: %r", mail.id, mail.attempts + 1, error)
            self._hang_up()
            due = self._due_again(mail)
            self.tries["given_up" if due is None else "put_off"] += 1
            await self._settle(lambda outbox: outbox.put_off(mail.id, lease, due), until)
            if not is_connected:
                # nobody is there: the other mails keep their tries
                await _within(self._pause, self._stopping)
            return
        self.tries["sent"] += 1
        await self._settle(lambda outbox: outbox.sent(mail.id, lease, clock.now()), until)

    async def _connected(self) -> SMTP:
        if self._smtp is not None and self._smtp.is_connected:
            return self._smtp
        server = self._server
        self._smtp = SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.starts_with_tls,
            # a password is said to nobody in clear
            start_tls=True if server.user is not None and not server.starts_with_tls else None,
            timeout=self._try_seconds,
        )
        await self._smtp.connect()
        return self._smtp

    async def _send(self, smtp: SMTP, mail: Mail) -> None:
        made = letter(mail, self._sender, clock.now())
        options = ["SMTPUTF8"] if made.needs_utf8 else []
        await smtp.sendmail(made.sender, [made.recipient], made.message, mail_options=options)

    def _due_again(self, mail: Mail) -> datetime | None:
        if mail.attempts + 1 >= limits.MAIL_TRIES:
            return None
        pause = self._pause * _GROWTH**mail.attempts
        asyncio.get_running_loop().call_later(pause + _CLOCK_SECONDS, self.wake)
        return clock.now() + timedelta(seconds=pause)

    async def _settle(self, settlement: Settlement, until: datetime) -> None:
        """Tells the database how the try ended, while the lease lasts: what it does not get to know is sent
        again."""
        while True:
            try:
                async with self._backend.unit_of_work() as work:
                    await settlement(work.notifications)
            except (Unavailable, TimedOut) as error:
                _log.warning("the outbox cannot be written: %r", error)
            else:
                return
            await asyncio.sleep(_POLL_SECONDS / 4)
            if clock.now() >= until:
                return

    async def _part(self) -> None:
        if self._smtp is not None:
            try:
                await self._smtp.quit(timeout=_POLL_SECONDS)
            except (SMTPException, OSError) as error:
                _log.debug("the mail server did not say goodbye: %r", error)
        self._hang_up()

    def _hang_up(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None


@asynccontextmanager
async def open_mailer(
    backend: Backend, settings: Settings, stopping: Stopping, closing: float
) -> AsyncIterator[Mailer | None]:
    """None where no server takes mail. On leaving, the mail in hand is finished if that is soon, else left to
    its lease; `closing` seconds of the shutdown are for what is closed afterwards."""
    if settings.smtp_url is None:
        yield None
        return
    server = smtp_server(settings.smtp_url.get_secret_value())
    mailer = Mailer(backend, settings, server, stopping)
    worker = asyncio.create_task(mailer.work(), name="mail")
    try:
        yield mailer
    finally:
        stopping.set()
        mailer.wake()
        await asyncio.wait({worker}, timeout=stopping.left(closing + 1.5, _LEAST_STOP))
        worker.cancel()
        await asyncio.wait({worker})


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Waits for the event, but no longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
