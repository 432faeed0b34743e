"""Tables on a terminal that is too narrow for them: as lines, since a table cuts what does not fit."""

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def fits(table: Table, console: Console) -> bool:
    wide = console.options.update(max_width=10_000)
    return Measurement.get(console, wide, table).maximum <= console.width


def whole(table: Table, console: Console) -> RenderableType:
    if fits(table, console):
        return table
    headings = [column.header for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    return Group(*(_line(headings, row) for row in rows))


def _line(headings: list[RenderableType], row: tuple[RenderableType, ...]) -> Text:
    named = zip(map(_text, headings), map(_text, row), strict=True)
    return Text("; ").join(
        Text.assemble((heading.plain, "dim"), " ", cell) for heading, cell in named if cell
    )


def _text(cell: RenderableType) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))
