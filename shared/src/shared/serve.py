"""`python -m <layer>_service`: serve, or bring the database up to the code."""

import argparse
import asyncio
import logging
import signal
import sys
from ipaddress import ip_address
from types import FrameType
from typing import NoReturn

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError

from shared.http.protocol import BoundedProtocol, BoundedSockets
from shared.registry import Service
from shared.rules import limits
from shared.settings import Settings, check_database_url
from shared.starting import why_not_migrated

WRONG_USE, NOT_STARTED = 2, 3
_LAST_PORT = 65_535

_REQUESTS_SHARE = 0.4
"""Of the shutdown's time, for the requests that run: the rest is for what is buffered, and for the pools."""


def run(service: Service) -> None:
    chosen = _parser(service).parse_args()
    settings = _settings(service)
    if chosen.command == "migrate":
        _migrate(service, settings)
    elif settings.auth_secret is None and not is_loopback(chosen.host):
        _refuse(
            "without AUTH_SECRET only loopback is served: set AUTH_SECRET to a secret of 32 bytes or more to"
            f" listen on {chosen.host}, or leave --host out."
        )
    else:
        _serve(service, settings, chosen.host, chosen.port)


def is_loopback(host: str) -> bool:
    """
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.8.9.10")]
    [True, True, True, True]
    >>> [is_loopback(host) for host in ("0.0.0.0", "::", "", "10.0.0.1", "::ffff:127.0.0.1", "a.example")]
    [False, False, False, False, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # what a name stands for is decided elsewhere, and may change
        return host == "localhost"


def _parser(service: Service) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=service.module, description=f"{service.title}. Settings: environment."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer requests until SIGTERM")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_port, default=8000)
    commands.add_parser("migrate", help="bring the database's schema up to date; safe to repeat")
    return parser


def _port(text: str) -> int:
    """0 is any that is free. Raises ArgumentTypeError."""
    if text.isdecimal() and (port := int(text)) <= _LAST_PORT:
        return port
    raise argparse.ArgumentTypeError(f"must be a number up to {_LAST_PORT}")


def _settings(service: Service) -> Settings:
    try:
        settings = Settings()
        check_database_url(settings, service.database)
    except ValidationError as error:
        found = (f"{_variable(wrong['loc'])} {_plain(wrong['msg'])}" for wrong in error.errors())
        _refuse("; ".join(found))
    except SettingsError:
        # lists are the one kind of variable that is read as JSON
        _refuse("ALLOWED_ORIGINS must be a JSON array of texts")
    except OSError as error:
        _refuse(f"{error.filename} cannot be read: {error.strerror}")
    except ValueError as error:
        _refuse(str(error))
    return settings


def _variable(loc: tuple[int | str, ...]) -> str:
    return str(loc[0]).upper()


def _plain(msg: str) -> str:
    told = msg.removeprefix("Value error, ").replace("Input should", "should")
    return told.replace("a valid boolean, unable to interpret input", "0 or 1")


def _migrate(service: Service, settings: Settings) -> None:
    try:
        asyncio.run(service.migrate(settings))
    except Exception as error:
        reason = why_not_migrated(service, error)
        if reason is None:
            raise
        _end(reason, NOT_STARTED)


def _serve(service: Service, settings: Settings, host: str, port: int) -> None:
    # uvicorn sends itself the signal that stopped it once more, when all is closed
    signal.signal(signal.SIGTERM, _end_well)
    logging.getLogger("uvicorn.error").addFilter(_tells_no_query)
    uvicorn.run(
        f"{service.module}.app:app",
        host=host,
        port=port,
        loop="uvloop",
        http=BoundedProtocol,
        ws=BoundedSockets,
        access_log=False,
        ws_max_size=limits.FRAME_MAX_BYTES,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, int(settings.shutdown_grace * _REQUESTS_SHARE)),
    )


def _tells_no_query(record: logging.LogRecord) -> bool:
    """What uvicorn writes of each WebSocket has its query in it, where a token may be."""
    return '"WebSocket %s"' not in str(record.msg)


def _end_well(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _refuse(reason: str) -> NoReturn:
    _end(reason, WRONG_USE)


def _end(reason: str, code: int) -> NoReturn:
    sys.stderr.write(f"{reason}\n")
    sys.exit(code)
