"""No database at all: what uvicorn and JSON of the usual size cost, in and out.

A driver's floor above it is what the driver costs.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

from assay.measure import dataset
from assay.measure.floors.application import Answer, Handler, Message, Receive, listed, read_json, written
from shared.settings import Settings

_IDENTIFIED = {
    "id": "01900000-0000-7000-8000-000000000000",
    "version": 1,
    "created_at": "2026-01-01T00:00:00.000000Z",
    "updated_at": "2026-01-01T00:00:00.000000Z",
}
_USER = {**_IDENTIFIED, "email": "ada@example.org", "name": "Ada Lovelace"}
_DOCUMENT = {**_IDENTIFIED, "owner_id": _IDENTIFIED["id"], **dataset.document(0)}
STATIC = written(_USER)


@asynccontextmanager
async def bare(_settings: Settings) -> AsyncGenerator[Handler]:
    async def handle(scope: Message, receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        row = _DOCUMENT if path.startswith("/documents") else _USER
        if method != "GET":
            sent = await read_json(receive)
            body = listed([row] * len(sent)) if isinstance(sent, list) else written(row)
            return Answer(201 if method == "POST" else 200, body, version=1)
        if path == "/documents":
            limit = int(dict(parse_qsl(scope["query_string"].decode())).get("limit", "50"))
            return Answer(200, listed([row] * limit))
        return Answer(200, STATIC if row is _USER else written({**row, "owner": _USER}))

    yield handle
