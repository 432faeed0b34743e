"""An answer made comparable: names for ids, and times only as being there."""

import csv
import io
import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import httpx2
from api import TIME

COMPARED_HEADERS: Final = (
    "content-type",
    "etag",
    "location",
    "allow",
    "retry-after",
    "idempotency-replayed",
    "content-disposition",
    "content-range",
    "accept-ranges",
    "x-content-type-options",
    "content-security-policy",
    "content-encoding",
    "vary",
)
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_JSON_CELLS: Final = frozenset({"version", "content", "tags"})


def comparable(response: httpx2.Response, names: Mapping[str, str], prefix: str) -> Any:
    """Status, headers and body, with `names` by id; a cursor only as being there, bytes by size and hash;
    paths without the `prefix` of the service's URL.

    Pages for people are not compared: what they show is the whole database's.
    """
    headers = {name: _named(response.headers.get(name, ""), names) for name in COMPARED_HEADERS}
    headers["location"] = headers["location"].removeprefix(prefix)
    body = _body(response, prefix)
    if response.status_code >= 400 and body is not None:
        body["instance"] = body["instance"].removeprefix(prefix)
    return {"status": response.status_code, "headers": headers, "body": _plain(body, names)}


def digest(content: bytes) -> Any:
    """What is compared of bytes.

    >>> digest(b"")["size"]
    0
    """
    return {"size": len(content), "sha256": sha256(content).hexdigest()}


def _body(response: httpx2.Response, prefix: str) -> Any:
    path = response.request.url.path.removeprefix(prefix)
    if path.startswith("/attachments/") and response.status_code in (200, 206):
        return digest(response.content)
    match response.headers.get("content-type", "").partition(";")[0]:
        case "text/csv":
            rows = csv.DictReader(io.StringIO(response.content.decode(), newline=""), strict=True)
            return [_typed(row) for row in rows]
        case "application/x-ndjson":
            return [json.loads(line) for line in response.content.split(b"\n")[:-1]]
        case "text/html":
            return None
        case _:
            return response.json() if response.content else None


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    return {name: json.loads(cell) if name in _JSON_CELLS else cell for name, cell in row.items()}


def _plain(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {
            key: _plain(value, names) if key != "next_cursor" else value is not None
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_plain(item, names) for item in node]
    if isinstance(node, str):
        return "<time>" if TIME.match(node) else _named(node, names)
    return node


def _named(text: str, names: Mapping[str, str]) -> str:
    return _ID.sub(lambda found: f"<{names.get(found[0], 'unknown')}>", text)
