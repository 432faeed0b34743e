"""Options of the random sequences, and somebody who takes the mails of a run of them alone."""

import asyncio
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import pytest
from mail_server import MailServer

HERE: Final = Path(__file__).parent
START_SECONDS: Final = 10.0


class MailThread:
    """A mail server with an event loop of its own."""

    def __init__(self) -> None:
        self._url: Future[str] = Future()
        self._stop: Future[None] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), name="mail")

    def start(self) -> str:
        """Its URL."""
        self._thread.start()
        return self._url.result(START_SECONDS)

    def stop(self) -> None:
        self._stop.set_result(None)
        self._thread.join()

    async def _serve(self) -> None:
        async with MailServer() as server:
            self._url.set_result(server.url)
            await asyncio.wrap_future(self._stop)


MAIL: Final = pytest.StashKey[MailThread]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("contract").addoption(
        "--sequences", type=int, default=100, metavar="N", help="how many random sequences to send"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Before the stand starts. Other tests want services that nobody takes mail from."""
    config = session.config
    is_alone = all(Path(argument).resolve().is_relative_to(HERE) for argument in config.args)
    if is_alone and not hasattr(config, "workerinput"):
        config.stash[MAIL] = MailThread()
        # the services inherit it
        os.environ["SMTP_URL"] = config.stash[MAIL].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    if MAIL in config.stash:
        config.stash[MAIL].stop()
