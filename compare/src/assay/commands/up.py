"""`assay up`: everything runs until it is told to stop."""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.commands.chosen import chosen
from assay.commands.places import check_file, refused
from assay.progress import Steps
from assay.stand import Databases, Stand, StandOptions, open_stand
from assay.stand.parallel import all_or_none
from shared.registry import Service

WATCH_SECONDS = 2.0
CONSOLE = "console"


async def up(
    only: Sequence[str],
    urls_file: Path | None,
    options: StandOptions,
    console: Console,
    *,
    with_console: bool = False,
) -> int:
    services = chosen(only)
    if urls_file is not None:
        check_file("--json", urls_file)
    async with AsyncExitStack() as stack:
        with Steps(console) as steps:
            serving = open_stand(services, options, steps, serving=not with_console)
            stand = await stack.enter_async_context(serving)
            page = await _with_console(stand, services) if with_console else None
        console.print(_table(stand, services))
        if page is not None:
            console.print(f"Console: {page}", highlight=False, soft_wrap=True)
        console.print(f"Logs: {stand.folder}. Ctrl-C stops everything.", highlight=False, soft_wrap=True)
        if urls_file is not None:
            urls = {service.name: stand.services[service.name].url for service in services}
            if page is not None:
                urls[CONSOLE] = page
            await asyncio.to_thread(_write, urls_file, urls)
        await _keep_up(stand.databases, console)
    return 0


def _write(urls_file: Path, urls: Mapping[str, str]) -> None:
    try:
        urls_file.write_text(json.dumps(urls, indent=1) + "\n")
    except OSError as error:
        raise refused("--json", urls_file, error, "file") from error


async def _with_console(stand: Stand, services: Sequence[Service]) -> str:
    """The URL of its page; the services say how they spend their time, as the page shows it."""
    timed = {"SERVER_TIMING": "1"}
    await all_or_none(stand.start_service(service, environment=timed) for service in services)
    named = [f"--backend={service.name}={stand.services[service.name].url}" for service in services]
    command = [sys.executable, "-m", "assay.console", *named]
    return (await stand.start_process(CONSOLE, command, {}, probe="/livez")).url


async def _keep_up(databases: Databases, console: Console) -> None:
    """Until cancelled. A database that somebody kills is started again on its port, as its data are still
    there: so anybody can try what the services do meanwhile."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        for database in databases:
            if not database.alive:
                console.print(f"{database.kind} has gone; starting it again.")
                await database.start()
                console.print(f"{database.kind} is back.")


def _table(stand: Stand, services: Sequence[Service]) -> Table:
    table = Table("backend", "url", "database")
    for service in services:
        database = stand.databases.of(service)
        table.add_row(service.name, stand.services[service.name].url, f"{database.kind} {database.version}")
    return table
