"""Attachments: uploaded, listed, removed (FIL-1, FIL-2)."""

import asyncio
import hashlib
import os
from typing import Any, Final
from urllib.parse import quote

import pytest
from api import Api
from builders import BOUNDARY, FORM, file_part, form, make_attachment, make_document, make_user, upload
from expectations import Json, expect_attachment, expect_gone, expect_page, expect_problem, walk

NOBODY: Final = "0197f000-0000-7000-8000-000000000000"
HELLO: Final = b"0123456789"
MIB: Final = 1024 * 1024
UNNAMED: Final = 'Content-Disposition: form-data; name="file"'


@pytest.fixture(scope="module")
async def document(api: Api) -> Json:
    """A document that the tests of this module attach to."""
    return await make_document(api)


@pytest.fixture(scope="module")
def path(document: Json) -> str:
    """Where it takes attachments."""
    return f"/documents/{document['id']}/attachments"


@pytest.mark.clause("FIL-1", "GEN-10")
@pytest.mark.parametrize("size", [0, 1, 70_000, 3 * MIB + 1], ids=str)
async def test_an_upload_is_answered_whole_and_its_bytes_come_back(
    api: Api, document: Json, size: int
) -> None:
    content = os.urandom(size)
    created = expect_attachment(
        await upload(api, document, content, "notes.txt", "text/plain"),
        document_id=document["id"],
        filename="notes.txt",
        media_type="text/plain",
        size=size,
        sha256=hashlib.sha256(content).hexdigest(),
    )
    assert (await api.get(f"/attachments/{created['id']}")).content == content


@pytest.mark.clause("FIL-1", "FIL-2", "GEN-5")
@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "../../etc/passwd"),
        (r"C:\temp\x.txt", r"C:\temp\x.txt"),
        (r"a \"quoted\" \\ name", r'a "quoted" \ name'),
        ("trailing\\", "trailing\\"),
        ("50%22%0D%0A.txt", "50%22%0D%0A.txt"),
        ("naïve 文件 👩‍🚀.txt", "naïve 文件 👩‍🚀.txt"),
        ("line\nbreak\ttab", "line\nbreak\ttab"),
        ("x; filename=y", "x; filename=y"),
        ("n" * 255, "n" * 255),
        ("👩" * 255, "👩" * 255),
    ],
)
async def test_a_file_name_is_kept_as_sent_and_never_a_path_or_a_header(
    api: Api, path: str, sent: str, name: str
) -> None:
    answer = await api.post(path, content=form(file_part(sent, HELLO)), headers=FORM)
    created = expect_attachment(answer, filename=name)
    read = await api.get(f"/attachments/{created['id']}")
    assert read.content == HELLO
    disposition = read.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="')
    assert disposition.endswith(f"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}")
    assert disposition.isascii()
    assert disposition.isprintable()


@pytest.mark.clause("FIL-1", "FIL-2")
@pytest.mark.parametrize(
    ("lines", "media_type"),
    [
        ((), "application/octet-stream"),
        (("Content-Type: image/png",), "image/png"),
        (("content-type: text/html; charset=utf-8",), "text/html; charset=utf-8"),
        (('Content-Type: a/b; x="q \\" y"',), 'a/b; x="q \\" y"'),
    ],
    ids=["none", "plain", "parameter", "quoted"],
)
async def test_the_media_type_is_the_one_that_came_with_the_file(
    api: Api, path: str, lines: tuple[str, ...], media_type: str
) -> None:
    answer = await api.post(path, content=form(file_part("a", HELLO, *lines)), headers=FORM)
    created = expect_attachment(answer, media_type=media_type)
    read = await api.get(f"/attachments/{created['id']}")
    assert read.headers["content-type"] == media_type


@pytest.mark.clause("FIL-1", "GEN-1", "GEN-4")
@pytest.mark.parametrize(
    ("body", "loc"),
    [
        (form(), ["body", "file"]),
        (form(file_part("a", HELLO, name="other")), ["body", "other"]),
        (form(file_part("a", HELLO, name="no name!")), ["body"]),
        (form((UNNAMED, HELLO)), ["body", "file"]),
        (form((f"{UNNAMED}; filename*=UTF-8''a", HELLO)), ["body", "file"]),
        (form(file_part("", HELLO)), ["body", "file"]),
        (form(file_part("n" * 256, HELLO)), ["body", "file"]),
        (form(file_part("a\0b", HELLO)), ["body", "file"]),
        (form(file_part("?", HELLO)).replace(b"?", b"\xff"), ["body"]),
        (form(file_part("a", HELLO), file_part("b", HELLO)), ["body", "file"]),
        (form(file_part("a", HELLO), file_part("b", HELLO, name="more")), ["body", "more"]),
        (form(("X: y", HELLO)), ["body"]),
        (form(file_part("a", HELLO, "Content-Type: text")), ["body", "file"]),
        (form(file_part("a", HELLO, "Content-Type: a/b\nX: y")), ["body", "file"]),
        (form(*[file_part("a", HELLO)] * 40), ["body", "file"]),
    ],
)
async def test_a_form_that_is_not_one_named_file_is_refused_by_its_place(
    api: Api, path: str, body: bytes, loc: list[str | int]
) -> None:
    expect_problem(await api.post(path, content=body, headers=FORM), 422, "validation", loc)


@pytest.mark.clause("FIL-1", "GEN-4")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        form(file_part("a", HELLO), end=""),
        form(file_part("a", HELLO))[:-20],
        form((": nameless", HELLO)),
        form(("X" * 5_000, HELLO)),
        form(("\r\n".join(f"X{number}: y" for number in range(20)), HELLO)),
        form(file_part("a", HELLO)).replace(BOUNDARY.encode(), b"another"),
    ],
)
async def test_a_broken_form_is_malformed(api: Api, path: str, body: bytes) -> None:
    expect_problem(await api.post(path, content=body, headers=FORM), 400, "malformed-json")


@pytest.mark.clause("FIL-1", "GEN-4")
@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "b" * 300])
async def test_a_form_needs_a_boundary(api: Api, path: str, boundary: str) -> None:
    headers = {"Content-Type": f"multipart/form-data{boundary}"}
    answer = await api.post(path, content=form(file_part("a", HELLO)), headers=headers)
    expect_problem(answer, 400, "malformed-json")


@pytest.mark.clause("FIL-1", "GEN-1")
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Content-Type": "application/octet-stream"},
        {"Content-Type": f"multipart/mixed; boundary={BOUNDARY}"},
        {},
    ],
)
async def test_what_is_no_form_is_unsupported(api: Api, path: str, headers: dict[str, str]) -> None:
    answer = await api.post(path, content=form(file_part("a", HELLO)), headers=headers)
    expect_problem(answer, 415, "unsupported-media-type")


@pytest.mark.clause("FIL-1", "GEN-2", "GEN-13")
async def test_what_is_wrong_with_the_body_is_told_before_what_is_wrong_elsewhere(api: Api) -> None:
    whole = form(file_part("a", HELLO))
    answer = await api.post("/documents/x/attachments", content=b"no form", headers=FORM)
    expect_problem(answer, 400, "malformed-json")
    answer = await api.post("/documents/x/attachments", content=whole, headers=FORM)
    expect_problem(answer, 422, "validation", ["path", "document_id"])
    strange_key = {**FORM, "Idempotency-Key": "k" * 129}
    answer = await api.post(f"/documents/{NOBODY}/attachments", content=whole, headers=strange_key)
    expect_problem(answer, 422, "validation", ["header", "Idempotency-Key"])
    answer = await api.post(f"/documents/{NOBODY}/attachments", content=whole, headers=FORM)
    expect_problem(answer, 404, "not-found")


@pytest.mark.clause("FIL-2", "GEN-9")
async def test_attachments_are_listed_newest_first_page_by_page(api: Api) -> None:
    document, other = await make_document(api), await make_document(api)
    path = f"/documents/{document['id']}/attachments"
    assert expect_page(await api.get(path)) == ([], None)
    made = [await make_attachment(api, document) for _ in range(5)]
    await make_attachment(api, other)
    newest_first = sorted(made, key=lambda row: (row["created_at"], row["id"]), reverse=True)
    assert await walk(api, path) == newest_first
    assert await walk(api, path, {"limit": 2}) == newest_first
    _, cursor = expect_page(await api.get(path, params={"limit": 2}))
    elsewhere = f"/documents/{other['id']}/attachments"
    answer = await api.get(elsewhere, params={"cursor": cursor})
    expect_problem(answer, 422, "validation", ["query", "cursor"])
    expect_problem(await api.get(f"/documents/{NOBODY}/attachments"), 404, "not-found")


@pytest.mark.clause("FIL-2", "GEN-10")
async def test_a_removed_attachment_is_gone(api: Api, document: Json) -> None:
    attachment = await make_attachment(api, document)
    where, digest = f"/attachments/{attachment['id']}", attachment["sha256"]
    for stale in ('"other"', f'W/"{digest}"', digest):
        answer = await api.delete(where, headers={"If-Match": stale})
        expect_problem(answer, 412, "precondition-failed")
    expect_gone(await api.delete(where, headers={"If-Match": f'"other", "{digest}"'}))
    expect_problem(await api.delete(where), 404, "not-found")
    expect_problem(await api.get(where), 404, "not-found")
    expect_gone(await api.delete(f"/attachments/{(await make_attachment(api, document))['id']}"))


@pytest.mark.clause("DOC-4", "USR-5", "FIL-2")
@pytest.mark.parametrize("gone", ["documents", "users"])
async def test_attachments_go_with_their_document_and_its_owner(api: Api, gone: str) -> None:
    owner = await make_user(api)
    document = await make_document(api, owner)
    attachment = await make_attachment(api, document)
    expect_gone(await api.delete(f"/{gone}/{(document if gone == 'documents' else owner)['id']}"))
    expect_problem(await api.get(f"/attachments/{attachment['id']}"), 404, "not-found")
    expect_problem(await api.get(f"/documents/{document['id']}/attachments"), 404, "not-found")


@pytest.mark.clause("GEN-13", "FIL-1")
async def test_a_repeated_upload_is_answered_from_the_first(api: Api) -> None:
    document = await make_document(api)
    key: Any = {"headers": {"Idempotency-Key": f"upload {document['id']}"}}
    answers = await asyncio.gather(*(upload(api, document, HELLO, **key) for _ in range(4)))
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 3
    attachment = expect_attachment(answers[0])
    assert await walk(api, f"/documents/{document['id']}/attachments") == [attachment]
    assert (await api.get(f"/attachments/{attachment['id']}")).content == HELLO
    for other in (
        upload(api, document, b"other", **key),
        upload(api, document, HELLO, "other.txt", **key),
        upload(api, document, HELLO, "notes.txt", "text/other", **key),
    ):
        expect_problem(await other, 409, "conflict")
