"""Loopback ports for servers that live as long as one command."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from assay.stand.errors import PortTakenError, StandError

HOST = "127.0.0.1"
# Below the kernel's ephemeral range, where any outgoing connection may take a port at any time.
_FIRST, _LAST = 20_000, 32_000
_ATTEMPTS = 5

Started = TypeVar("Started")
_handed_out: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on and that this process has not handed out before."""
    for _ in range(200):
        port = random.randint(_FIRST, _LAST)
        if port not in _handed_out and _can_bind(port):
            _handed_out.add(port)
            return port
    raise StandError(f"No free port between {_FIRST} and {_LAST}: stop something that listens there.")


async def on_free_port(start: Callable[[int], Awaitable[Started]]) -> Started:
    """Start something on a free port, again on another one when somebody else was faster."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await start(free_port())
        except PortTakenError:
            continue
    return await start(free_port())


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except ConnectionError:
        return False
    writer.close()
    return True


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
