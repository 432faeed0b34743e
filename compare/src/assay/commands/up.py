"""`assay up`: everything runs until it is told to stop."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.commands.chosen import chosen
from assay.progress import Steps
from assay.stand import Databases, Stand, StandOptions, open_stand
from shared.registry import Service

WATCH_SECONDS = 2.0


async def up(only: Sequence[str], urls_file: Path | None, options: StandOptions, console: Console) -> int:
    services = chosen(only)
    async with AsyncExitStack() as stack:
        with Steps(console) as steps:
            stand = await stack.enter_async_context(open_stand(services, options, steps))
        console.print(_table(stand, services))
        console.print(f"Logs: {stand.folder}. Ctrl-C stops everything.", highlight=False, soft_wrap=True)
        if urls_file is not None:
            urls = {name: service.url for name, service in stand.services.items()}
            await asyncio.to_thread(urls_file.write_text, json.dumps(urls, indent=1) + "\n")
        await _keep_up(stand.databases, console)
    return 0


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
