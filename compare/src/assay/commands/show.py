"""`assay show`: one operation, as every backend answers it."""

from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.syntax import Syntax

from assay.commands.chosen import chosen
from assay.judge.source import UnknownOperation
from assay.judge.source import operation as find
from assay.stand import StandError


def show(operation: str, console: Console) -> int:
    try:
        found = find(operation, chosen([]))
    except UnknownOperation as error:
        raise StandError(str(error)) from None
    console.print(f"[bold]{found.name}[/bold]: {found.promise}", highlight=False)
    width = max(60, console.width // 2 - 2) if console.width >= 120 else console.width
    panels = [
        Panel(
            Syntax(implementation.source, "python", word_wrap=True, background_color="default"),
            title=f"{implementation.backend} · {implementation.lines} lines",
            subtitle=f"{implementation.file}:{implementation.line}",
            width=width,
        )
        for implementation in found.implementations
    ]
    console.print(Columns(panels))
    return 0
