"""Writes the table of settings into docs/operations.md: `python contract_tests/settings_table.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from annotated_types import Ge, Gt
from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from shared.settings import Settings

PAGE: Final = Path(__file__).parents[1] / "docs" / "operations.md"
BEGIN: Final = "<!-- the table is written by `just generate` -->\n"
END: Final = "<!-- end of the table -->\n"


def with_table(page: str) -> str:
    """The page with the table as the settings are now. ValueError where it has no place for it."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no place for the table of settings")
    return "".join([head, begin, *(f"{line}\n" for line in _table()), end, tail])


def _table() -> Iterator[str]:
    yield "| Variable | Default | Takes | What it says |"
    yield "| --- | --- | --- | --- |"
    for name, field in Settings.model_fields.items():
        told = (_variables(name, field), _default(field), _takes(name, field), str(field.description))
        yield f"| {' | '.join(told)} |"


def _variables(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return " or ".join(f"`{choice}`" for choice in field.validation_alias.choices)
    return f"`{name.upper()}`"


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    match default:
        case None | "":
            return "none"
        case bool():
            return f"`{int(default)}`"
        case frozenset():
            return "`[]`"
        case float():
            return f"`{default:g}`"
    # where the page is written is nobody's concern
    return f"`{str(default).replace(Path.cwd().as_uri(), 'file://…')}`"


def _takes(name: str, field: FieldInfo) -> str:
    kind = field.annotation
    if kind == SecretStr | None:
        return "text, a secret"
    if kind is bool:
        return "0 or 1"
    if kind not in {int, float}:
        return "text" if kind in (str, str | None) else "JSON"
    unit = "seconds" if kind is float else "bytes" if name.endswith("_bytes") else "a number"
    return ", ".join([unit, *_bounds(field)])


def _bounds(field: FieldInfo) -> Iterator[str]:
    for bound in field.metadata:
        if isinstance(bound, Ge):
            yield f"{bound.ge} or more"
        elif isinstance(bound, Gt):
            yield f"more than {bound.gt}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
