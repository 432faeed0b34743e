"""Serves one floor until SIGINT or SIGTERM; the databases' URLs come from the environment, as for the
services."""

import argparse
import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn

from assay.measure.floors.application import application
from shared.settings import Settings

# each imports what it needs and nothing of the others: its process is as large as it has to be


def _bare(settings: Settings) -> Any:
    from assay.measure.floors.bare import bare

    return application(bare, settings)


def _on_asyncpg(settings: Settings) -> Any:
    from assay.measure.floors.on_asyncpg import on_asyncpg

    return application(on_asyncpg, settings)


def _on_motor(settings: Settings) -> Any:
    from assay.measure.floors.on_motor import on_motor

    return application(on_motor, settings)


def _http_surface(settings: Settings) -> Any:
    from assay.measure import null_backend
    from shared.http.app import Surface

    return Surface(null_backend.service, settings)


def _plain(settings: Settings) -> Any:
    from assay.measure.plain_surface import PlainSurface
    from shared.registry import services

    return PlainSurface(services("asyncpg")[0], settings)


FLOORS: dict[str, Callable[[Settings], Any]] = {
    "bare": _bare,
    "floor-asyncpg": _on_asyncpg,
    "floor-motor": _on_motor,
    "floor-http": _http_surface,
    "asyncpg-plain": _plain,
}
"""The ASGI application of each floor, by its arm's name."""


def serve(name: str, host: str, port: int) -> None:
    config = uvicorn.Config(
        FLOORS[name](Settings()),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve())


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve one floor of the comparison.")
    parser.add_argument("name", choices=sorted(FLOORS))
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    chosen = parser.parse_args()
    serve(chosen.name, chosen.host, chosen.port)


if __name__ == "__main__":
    main()
