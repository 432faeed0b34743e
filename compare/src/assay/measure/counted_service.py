"""`python -m assay.measure.counted_service NAME serve …`: a service whose clockwork rests.

What runs by the clock and not by the request would be counted too, and the more the slower the machine is.
Settings make most of it rare; the measuring of the loop's lag and the server's ticks have none.
"""

import asyncio
import sys
from importlib import import_module

from uvicorn import Server

from shared.serve import run
from shared.work import loop_lag

_RARELY = 1_000_000.0
"""Seconds: longer than any count takes."""

RESTING = dict.fromkeys(
    ("SWEEP_SECONDS", "HEARTBEAT_SECONDS", "ANNOUNCE_SECONDS", "CLIENT_LEASE", "MAIL_LEASE"), str(_RARELY)
)
"""Environment that makes the rest of it rare."""


async def _without_ticks(server: Server) -> None:
    """Looks once at what the server looks at ten times a second; nobody but SIGKILL ends it."""
    await server.on_tick(0)
    await asyncio.sleep(_RARELY)


_CLOCKWORK = ((loop_lag, "_PERIOD", _RARELY), (Server, "main_loop", _without_ticks))


def main() -> None:
    for owner, name, resting in _CLOCKWORK:
        setattr(owner, name, resting)
    run(import_module(f"{sys.argv.pop(1)}_service").service)


if __name__ == "__main__":
    main()
