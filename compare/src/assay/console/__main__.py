"""`python -m assay.console`: serves the page until SIGTERM."""

import argparse
import signal
import sys
from types import FrameType
from typing import NoReturn

import uvicorn
from pydantic import ValidationError

from assay.console.app import GRACE_SECONDS, make_app
from assay.console.backends import backends_of
from assay.console.settings import ConsoleSettings
from shared.http.protocol import BoundedProtocol, BoundedSockets
from shared.serve import is_loopback

WRONG_USE = 2


def main() -> None:
    given = _parser().parse_args()
    settings = _settings()
    if settings.console_password is None and not is_loopback(given.host):
        _refuse(
            f"without CONSOLE_PASSWORD only loopback is served: set it to listen on {given.host},"
            " or leave --host out."
        )
    if not 0 < given.port < 65_536:
        _refuse(f"--port {given.port}: choose one from 1 to 65535.")
    try:
        backends = backends_of(given.backend)
    except ValueError as error:
        _refuse(str(error))
    # uvicorn sends itself the signal that stopped it once more, when all is closed
    signal.signal(signal.SIGTERM, _end_well)
    uvicorn.run(
        make_app(backends, settings),
        host=given.host,
        port=given.port,
        http=BoundedProtocol,
        ws=BoundedSockets,
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_graceful_shutdown=int(GRACE_SECONDS),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assay.console", description="A page that sends one request to every backend."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--backend", metavar="NAME=URL", action="append", default=[], help="once for each")
    return parser


def _settings() -> ConsoleSettings:
    try:
        return ConsoleSettings()
    except ValidationError as error:
        wrong = error.errors()[0]
        _refuse(f"{str(wrong['loc'][0]).upper()} {wrong['msg'].removeprefix('Value error, ')}")
    except OSError as error:
        _refuse(f"{error.filename} cannot be read: {error.strerror}")


def _end_well(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    sys.exit(WRONG_USE)


if __name__ == "__main__":
    main()
