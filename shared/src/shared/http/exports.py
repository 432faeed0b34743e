"""The routes of exports: whole sets as CSV or NDJSON, made while they are sent (EXP-1)."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import orjson
from fastapi import Query
from pydantic import TypeAdapter

from shared.http.answers import Answers
from shared.http.call import Answer, Call, Streamed, streamed
from shared.http.documents import DocumentFilter
from shared.http.routing import Routes
from shared.http.users import UserFilter
from shared.ports.exports import Exports
from shared.rules import csv_cells, text_keys
from shared.rules.clock import rfc3339
from shared.rules.encodings import wants_gzip
from shared.rules.filters import parse
from shared.schemas.documents import Document, DocumentListing, Id
from shared.schemas.users import User, UserListing

router = Routes("exports")

_CHUNK_BYTES: Final = 64 * 1024
_GZIP_LEVEL: Final = 1
"""The machine's time is dearer than the line's: 6 takes four times as long for a fifth less."""
_GZIP_FORM: Final = 16 + zlib.MAX_WBITS

Format = Literal["csv", "ndjson"]
Row = TypeVar("Row")
Sets = AsyncGenerator[Sequence[Row], None]


class UserExport(UserFilter):
    format: Format


class DocumentExport(DocumentFilter):
    owner_id: Id | None = None
    format: Format


@dataclass(frozen=True, slots=True)
class Form(Generic[Row]):
    """How rows become bytes: the head of the file, and a line for each row."""

    media_type: bytes
    head: bytes
    line: Callable[[Row], bytes]


def _csv(kind: type, cells: Callable[[Row], Sequence[object]]) -> Form[Row]:
    head = csv_cells.line(field.name for field in fields(kind))
    return Form(b"text/csv; charset=utf-8; header=present", head, lambda row: csv_cells.line(cells(row)))


def _ndjson(kind: type[Row]) -> Form[Row]:
    dump = TypeAdapter(kind).dump_json
    return Form(b"application/x-ndjson", b"", lambda row: dump(row) + b"\n")


def _user_cells(user: User) -> Sequence[object]:
    created_at, updated_at = rfc3339(user.created_at), rfc3339(user.updated_at)
    return user.id, user.email, user.name, user.version, created_at, updated_at


def _document_cells(document: Document) -> Sequence[object]:
    return (
        document.id,
        document.owner_id,
        document.title,
        orjson.dumps(document.content).decode(),
        orjson.dumps(document.tags).decode(),
        document.version,
        rfc3339(document.created_at),
        rfc3339(document.updated_at),
    )


_USERS: Final[dict[Format, Form[User]]] = {"csv": _csv(User, _user_cells), "ndjson": _ndjson(User)}
_DOCUMENTS: Final[dict[Format, Form[Document]]] = {
    "csv": _csv(Document, _document_cells),
    "ndjson": _ndjson(Document),
}
_ANSWERS = Answers(200, None, media_types=("text/csv", "application/x-ndjson"))


@router.get("/users/export", _ANSWERS)
async def export_users(call: Call, query: Annotated[UserExport, Query()]) -> Answer:
    """EXP-1"""
    listing = UserListing(
        "created_at", descending=False, after=None, prefix=text_keys.key(query.q) or None, limit=None
    )
    form = _USERS[query.format]
    chunks = _lines(call, form, lambda exports: exports.users(listing))
    return await _download(call, f"users.{query.format}", form.media_type, chunks)


@router.get("/documents/export", _ANSWERS)
async def export_documents(call: Call, query: Annotated[DocumentExport, Query()]) -> Answer:
    """EXP-1"""
    words = text_keys.words(query.q)
    listing = DocumentListing(
        "created_at",
        descending=False,
        after=None,
        owner_id=query.owner_id,
        tags=tuple(dict.fromkeys(query.tag)),
        where=tuple(map(parse, query.where)),
        words=words,
        limit=None,
    )
    form = _DOCUMENTS[query.format]
    # a search without a word finds nothing
    sets = _none if query.q and not words else lambda exports: exports.documents(listing)
    return await _download(call, f"documents.{query.format}", form.media_type, _lines(call, form, sets))


async def _download(
    call: Call, name: str, media_type: bytes, chunks: AsyncGenerator[bytes, None]
) -> Streamed:
    headers = [
        (b"content-type", media_type),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        (b"vary", b"Accept-Encoding"),
    ]
    if wants_gzip(call.header(b"accept-encoding") or ""):
        headers.append((b"content-encoding", b"gzip"))
        chunks = _gzipped(chunks)
    return await streamed(call, headers, _bounded(chunks, call.state.settings.export_timeout))


async def _lines(
    call: Call, form: Form[Row], sets: Callable[[Exports], Sets[Row]]
) -> AsyncGenerator[bytes, None]:
    chunk = bytearray(form.head)
    async with call.backend.snapshot() as exports, aclosing(sets(exports)) as found:
        async for rows in found:
            for row in rows:
                chunk += form.line(row)
                if len(chunk) >= _CHUNK_BYTES:
                    yield bytes(chunk)
                    chunk.clear()
    # the connection is free while the client reads the rest
    yield bytes(chunk)


async def _none(_: Exports) -> Sets[Any]:
    return
    yield


async def _gzipped(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    packer = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_FORM)
    loop = asyncio.get_running_loop()
    async with aclosing(chunks):
        async for chunk in chunks:
            # zlib lets go of the interpreter: a thread of its own leaves the event loop to the others
            if packed := await loop.run_in_executor(None, packer.compress, chunk):
                yield packed
    yield packer.flush()


async def _bounded(chunks: AsyncGenerator[bytes, None], seconds: float) -> AsyncGenerator[bytes, None]:
    """The chunks, as long as all of them take no longer; then TimeoutError."""
    deadline = asyncio.get_running_loop().time() + seconds
    async with aclosing(chunks):
        while True:
            async with asyncio.timeout_at(deadline):
                # making chunks of rows that are there, and sending them, suspends nowhere: others have a turn
                await asyncio.sleep(0)
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk
