"""`python -m <layer>_service`: serve, or bring the database up to the code."""

import argparse
import asyncio

import uvicorn

from shared.registry import Service
from shared.settings import Settings


def run(service: Service) -> None:
    parser = argparse.ArgumentParser(
        prog=service.module, description=f"{service.title}. Settings: environment."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer requests until SIGTERM")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8000)
    commands.add_parser("migrate", help="bring the database's schema up to date; safe to repeat")
    chosen = parser.parse_args()
    settings = Settings()
    if chosen.command == "migrate":
        asyncio.run(service.migrate(settings))
    else:
        uvicorn.run(
            f"{service.module}.app:app",
            host=chosen.host,
            port=chosen.port,
            loop="uvloop",
            http="httptools",
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(settings.shutdown_grace / 2),
        )
