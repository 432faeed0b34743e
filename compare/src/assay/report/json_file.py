"""Results as `results.json`, and the schema that other programs may rely on."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from assay.report.model import FORMAT, Results

SCHEMA_FILE = Path(__file__).with_name("results.schema.json")


class UnreadableResults(Exception):
    """The file holds no results of this version; the message is one line that says what to do."""


def write(results: Results, file: Path) -> None:
    file.write_text(results.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(file: Path) -> Results:
    """Raises UnreadableResults."""
    try:
        return Results.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UnreadableResults(f"{file}: {error.strerror}; name a results.json of assay compare") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UnreadableResults(
            f"{file}: no results in the format {FORMAT} ({place}: {first['msg']}); run assay compare again"
        ) from error


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of what `write` writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Results.model_json_schema(mode="serialization"),
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
