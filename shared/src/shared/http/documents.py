"""The routes of documents, in contract order."""

import asyncio
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import orjson
from fastapi import Body, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from shared.errors import PreconditionFailed
from shared.http.answers import Answers
from shared.http.call import Answer, Call
from shared.http.conditional import created, expected_versions, required_versions, resource
from shared.http.idempotency import once
from shared.http.pages import page, place_after
from shared.http.problems import ProblemError, invalid
from shared.http.queries import Cursor, Limit, SearchText
from shared.http.routing import Routes
from shared.ports.backend import UnitOfWork
from shared.ports.documents import Documents
from shared.rules import canonical_json, clock, json_content, limits, text_keys
from shared.rules.batches import repeats
from shared.rules.canonical_json import Stats
from shared.rules.etags import Versions
from shared.rules.filters import parse
from shared.rules.merge_patch import merge
from shared.schemas.documents import (
    Document,
    DocumentBody,
    DocumentListing,
    DocumentPatch,
    DocumentSort,
    Id,
    NewDocument,
    OwnedDocument,
    Tag,
    Transfer,
    Transferred,
    document_change,
    document_record,
)
from shared.schemas.pages import Batch, Page

router = Routes("documents")

_DOCUMENT = TypeAdapter(Document)
_OWNED = TypeAdapter(OwnedDocument)
_PAGE = TypeAdapter(Page[Document])
_OWNED_PAGE = TypeAdapter(Page[OwnedDocument])
_BATCH = TypeAdapter(Batch[Document])
_STATS = TypeAdapter(Stats)
_TRANSFERRED = TypeAdapter(Transferred)

NewDocuments = Annotated[list[NewDocument], Field(min_length=1, max_length=limits.BATCH_MAX)]


def _parsable(texts: list[str]) -> list[str]:
    for text in texts:
        parse(text)
    return texts


class IncludeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include: Literal["owner"] | None = None


class DocumentFilter(BaseModel):
    """What selects documents, beside their owner."""

    model_config = ConfigDict(extra="forbid")

    tag: Annotated[list[Tag], Field(max_length=limits.TAG_FILTERS_MAX)] = []
    where: Annotated[list[str], Field(max_length=limits.WHERE_MAX), AfterValidator(_parsable)] = []
    q: SearchText = ""


class OwnedDocumentQuery(DocumentFilter):
    """What `/users/{id}/documents` takes; the owner is in its path."""

    sort: Literal["created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"] = "created_at"
    include: Literal["owner"] | None = None
    limit: Limit = limits.PAGE_DEFAULT
    cursor: Cursor | None = None


class DocumentQuery(OwnedDocumentQuery):
    owner_id: Id | None = None


@router.post("/documents", Answers(201, Document, tagged=True, keyed=True))
async def create_document(call: Call, body: Annotated[NewDocument, Body()]) -> Answer:
    """DOC-1"""
    document = document_record(body, clock.now())

    async def create(work: UnitOfWork) -> Answer:
        await work.documents.create(document)
        return created(call, f"/documents/{document.id}", document.version, _DOCUMENT.dump_json(document))

    return await once(call, create)


@router.post("/documents/batch", Answers(201, Batch[Document], keyed=True))
async def create_documents(call: Call, body: Annotated[NewDocuments, Body()]) -> Answer:
    """DOC-5"""
    moment = clock.now()
    documents = [document_record(new, moment) for new in body]

    async def create(work: UnitOfWork) -> Answer:
        await work.documents.create_many(documents)
        return Answer(201, _BATCH.dump_json(Batch(documents)))

    return await once(call, create)


@router.post("/documents/transfer", Answers(200, Transferred, ("conflict",), keyed=True))
async def transfer_documents(call: Call, body: Annotated[Transfer, Body()]) -> Answer:
    """DOC-8"""
    ids = body.document_ids
    repeated = sorted(repeats(ids))
    if repeated:
        found = [
            invalid("body", "document_ids", place, msg="is repeated", kind="repeated") for place in repeated
        ]
        raise ProblemError("validation", field_errors=found)
    moment = clock.now()

    async def transfer(work: UnitOfWork) -> Answer:
        count = await work.documents.transfer(ids, body.from_owner_id, body.to_owner_id, moment)
        return Answer(200, _TRANSFERRED.dump_json(Transferred(count)))

    return await once(call, transfer)


@router.get("/documents", Answers(200, Page[Document] | Page[OwnedDocument]))
async def list_documents(call: Call, query: Annotated[DocumentQuery, Query()]) -> Answer:
    """DOC-6"""
    answer, _ = await answer_documents(call, query)
    return answer


@router.get("/documents/{document_id}", Answers(200, Document | OwnedDocument, ("not-found",), tagged=True))
async def get_document(call: Call, document_id: UUID, query: Annotated[IncludeQuery, Query()]) -> Answer:
    """DOC-2"""
    async with call.backend.reader() as reader:
        if query.include == "owner":
            return Answer(200, _OWNED.dump_json(await reader.documents.get_with_owner(document_id)))
        document = await reader.documents.get(document_id)
    return resource(call, document.version, _DOCUMENT.dump_json(document))


@router.put("/documents/{document_id}", Answers(200, Document, ("not-found",), tagged=True, conditional=True))
async def replace_document(call: Call, document_id: UUID, body: Annotated[DocumentBody, Body()]) -> Answer:
    """DOC-3"""
    change = document_change(clock.now(), body.title, body.content, body.tags)
    async with call.backend.unit_of_work() as work:
        expected = await required_versions(call, lambda: work.documents.get(document_id))
        document = await work.documents.update(document_id, change, expected)
    return resource(call, document.version, _DOCUMENT.dump_json(document))


@router.patch(
    "/documents/{document_id}",
    Answers(200, Document, ("not-found",), tagged=True, conditional=True, merge_patch=True),
)
async def patch_document(call: Call, document_id: UUID, body: Annotated[DocumentPatch, Body()]) -> Answer:
    """DOC-3: a patch of the content is merged here, so that its limits hold before anything is stored."""
    async with call.backend.unit_of_work() as work:
        expected = await required_versions(call, lambda: work.documents.get(document_id))
        if "content" in body.model_fields_set:
            document = await _merge_content(work.documents, document_id, body, expected)
        else:
            change = document_change(clock.now(), _sent(body, "title"), None, _sent(body, "tags"))
            document = await work.documents.update(document_id, change, expected)
    return resource(call, document.version, _DOCUMENT.dump_json(document))


@router.delete("/documents/{document_id}", Answers(204, None, ("not-found", "precondition-failed")))
async def delete_document(call: Call, document_id: UUID) -> Answer:
    """DOC-4"""
    async with call.backend.unit_of_work() as work:
        await work.documents.delete(document_id, expected_versions(call))
    return Answer(204, headers=())


@router.get("/documents/{document_id}/stats", Answers(200, Stats, ("not-found",)))
async def get_stats(call: Call, document_id: UUID) -> Answer:
    """DOC-7: CPU work, off the event loop, one at a time. The content is read when its turn comes: to read
    many large ones at once would hold the loop up as well."""
    async with call.state.cpu_turn:
        async with call.backend.reader() as reader:
            document = await reader.documents.get(document_id)
        loop = asyncio.get_running_loop()
        stats = await loop.run_in_executor(call.state.cpu, canonical_json.stats, document.content)
    return Answer(200, _STATS.dump_json(stats))


async def answer_documents(call: Call, query: DocumentQuery) -> tuple[Answer, bool]:
    """A page of documents, and whether it is empty."""
    words = text_keys.words(query.q)
    fingerprint = orjson.dumps(["documents", query.sort, query.owner_id, query.tag, query.where, words])
    listing = DocumentListing(
        sort=cast(DocumentSort, query.sort.removeprefix("-")),
        descending=query.sort.startswith("-"),
        after=place_after(call, query.cursor, fingerprint),
        owner_id=query.owner_id,
        tags=tuple(dict.fromkeys(query.tag)),
        where=tuple(map(parse, query.where)),
        words=words,
        limit=query.limit + 1,
    )
    rows: Any = []
    if words or not query.q:
        async with call.backend.reader() as reader:
            with_owners = query.include == "owner"
            rows = await (reader.documents.list_with_owners if with_owners else reader.documents.list)(
                listing
            )
    found = page(call, rows, query.limit, fingerprint, lambda row: (_sort_key(row, listing.sort), row.id))
    adapter: Any = _OWNED_PAGE if query.include == "owner" else _PAGE
    return Answer(200, adapter.dump_json(found)), not rows


async def _merge_content(
    documents: Documents, document_id: UUID, patch: DocumentPatch, expected: Versions
) -> Document:
    """Read, merge, compare and set. Under `If-Match: *` a change in between is no reason to refuse: merge
    again with what is stored now."""
    while True:
        stored = await documents.get(document_id)
        if expected is not None and stored.version not in expected:
            raise PreconditionFailed
        try:
            merged = json_content.content(merge(stored.content, patch.content))
        except json_content.ContentRefused as error:
            wrong = invalid("body", "content", msg=f"as merged: {error}")
            raise ProblemError("validation", field_errors=[wrong]) from error
        change = document_change(clock.now(), _sent(patch, "title"), merged, _sent(patch, "tags"))
        try:
            return await documents.update(document_id, change, frozenset({stored.version}))
        except PreconditionFailed:
            if expected is not None:
                raise


def _sent(patch: DocumentPatch, field: str) -> Any:
    return getattr(patch, field) if field in patch.model_fields_set else None


def _sort_key(document: Document, sort: DocumentSort) -> Any:
    return text_keys.key(document.title) if sort == "title" else getattr(document, sort)
