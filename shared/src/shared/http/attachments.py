"""The routes of attachments."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated
from uuid import UUID

import orjson
from fastapi import Query
from pydantic import TypeAdapter

from shared.errors import Refused, Unavailable
from shared.http.answers import Answers
from shared.http.call import JSON, Answer, Call, streamed
from shared.http.idempotency import once
from shared.http.pages import newest, newest_page
from shared.http.problems import ProblemError
from shared.http.queries import NewestQuery
from shared.http.routing import Routes
from shared.http.uploads import Upload
from shared.ports.backend import UnitOfWork
from shared.rules import clock, ids
from shared.rules.etags import accepted_digests, has_digest
from shared.rules.file_names import content_disposition
from shared.rules.ranges import RangeNotSatisfiable, Span, asked_span
from shared.schemas.attachments import Attachment
from shared.schemas.pages import Page
from shared.work.files import FileMissing

router = Routes("attachments")

_log = logging.getLogger("assay.http")
_ATTACHMENT = TypeAdapter(Attachment)
_PAGE = TypeAdapter(Page[Attachment])


@router.post(
    "/documents/{document_id}/attachments",
    Answers(201, Attachment, ("not-found",), tagged=True, keyed=True),
)
async def create_attachment(call: Call, document_id: UUID, upload: Upload) -> Answer:
    """FIL-1: the bytes first, so that no row ever names bytes that are not there."""
    attachment_id = ids.new_id()
    file = await upload.store(attachment_id)
    attachment = Attachment(
        attachment_id, document_id, file.filename, file.media_type, file.size, file.sha256, clock.now()
    )
    body = _ATTACHMENT.dump_json(attachment)

    async def create(work: UnitOfWork) -> Answer:
        await work.attachments.create(attachment)
        location = (b"location", call.located(f"/attachments/{attachment_id}").encode())
        return Answer(201, body, [JSON, location, _tag(attachment)])

    fingerprint = orjson.dumps([file.filename, file.media_type, file.sha256])
    try:
        answer = await once(call, create, fingerprint)
    except (Refused, Unavailable) as error:
        # where nobody knows whether there is a row, the sweeper finds out
        if isinstance(error, Refused) or not error.outcome_unknown:
            await call.state.files.remove(attachment_id)
        raise
    if answer.body != body:
        await call.state.files.remove(attachment_id)
    return answer


@router.get("/documents/{document_id}/attachments", Answers(200, Page[Attachment], ("not-found",)))
async def list_attachments(call: Call, document_id: UUID, query: Annotated[NewestQuery, Query()]) -> Answer:
    """FIL-2"""
    fingerprint = b"attachments %s" % document_id.bytes
    listing = newest(call, document_id, query, fingerprint)
    async with call.backend.reader() as reader:
        rows = await reader.attachments.list(listing)
        if not rows:
            await reader.documents.get(document_id)
    return Answer(200, _PAGE.dump_json(newest_page(call, rows, query, fingerprint)))


@router.get(
    "/attachments/{attachment_id}",
    Answers(200, None, ("not-found", "range-not-satisfiable"), tagged=True, media_types=("*/*",)),
)
async def get_attachment(call: Call, attachment_id: UUID) -> Answer:
    """FIL-2"""
    async with call.backend.reader() as reader:
        attachment = await reader.attachments.get(attachment_id)
    held = call.header(b"if-none-match")
    if held is not None and has_digest(held, attachment.sha256):
        return Answer(304, headers=[_tag(attachment)])
    part = _asked_part(call, attachment)
    start, end = part or (0, attachment.size)
    headers = [
        (b"content-type", attachment.media_type.encode()),
        (b"content-length", b"%d" % (end - start)),
        (b"content-disposition", content_disposition(attachment.filename).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"accept-ranges", b"bytes"),
        _tag(attachment),
    ]
    if part is not None:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, attachment.size)))
    chunks = _bytes(call, attachment_id, start, end)
    return await streamed(call, headers, chunks, status=206 if part else 200)


@router.delete("/attachments/{attachment_id}", Answers(204, None, ("not-found", "precondition-failed")))
async def delete_attachment(call: Call, attachment_id: UUID) -> Answer:
    """FIL-2: the row first, so that no row ever names bytes that are not there."""
    header = call.header(b"if-match")
    expected = None if header is None else accepted_digests(header)
    async with call.backend.unit_of_work() as work:
        await work.attachments.delete(attachment_id, expected)
    await call.state.files.remove(attachment_id)
    return Answer(204, headers=())


def _tag(attachment: Attachment) -> tuple[bytes, bytes]:
    return b"etag", b'"%s"' % attachment.sha256.encode()


def _asked_part(call: Call, attachment: Attachment) -> Span | None:
    """What is asked for of the file, or None for all of it. A range counts on GET alone, and under If-Range
    only for the file that it names."""
    asked, condition = call.header(b"range"), call.header(b"if-range")
    if asked is None or call.is_head:
        return None
    if condition is not None and condition.strip(" \t") != f'"{attachment.sha256}"':
        return None
    try:
        return asked_span(asked, attachment.size)
    except RangeNotSatisfiable as error:
        all_of_it = (b"content-range", b"bytes */%d" % attachment.size)
        raise ProblemError("range-not-satisfiable", headers=[all_of_it]) from error


async def _bytes(call: Call, attachment_id: UUID, start: int, end: int) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(call.state.files.read(attachment_id, start, end)) as chunks:
            async for chunk in chunks:
                yield chunk
    except FileMissing as error:
        # deleted since its row was read, or else lost
        async with call.backend.reader() as reader:
            await reader.attachments.get(attachment_id)
        _log.error("the bytes of attachment %s are not in the file store", attachment_id)
        raise Unavailable from error
