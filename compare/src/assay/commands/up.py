"""`assay up`: everything runs until it is told to stop."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table
from shared.registry import Service

from assay.commands.chosen import chosen
from assay.progress import Steps
from assay.stand import Stand, StandOptions, open_stand


async def up(only: Sequence[str], urls_file: Path | None, options: StandOptions, console: Console) -> int:
    services = chosen(only)
    async with AsyncExitStack() as stack:
        with Steps(console) as steps:
            stand = await stack.enter_async_context(open_stand(services, options, steps))
        console.print(_table(stand, services))
        console.print(f"Logs: {stand.folder}. Ctrl-C stops everything.", highlight=False, soft_wrap=True)
        if urls_file is not None:
            urls = {name: service.url for name, service in stand.services.items()}
            urls_file.write_text(json.dumps(urls, indent=1) + "\n")
        await asyncio.Event().wait()
    return 0


def _table(stand: Stand, services: Sequence[Service]) -> Table:
    table = Table("backend", "url", "database")
    for service in services:
        database = stand.databases.of(service)
        table.add_row(service.name, stand.services[service.name].url, f"{database.kind} {database.version}")
    return table
