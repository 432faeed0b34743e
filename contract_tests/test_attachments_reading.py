"""Attachments' bytes: whole, in parts, not at all (FIL-2)."""

import hashlib
import os
from typing import Final

import httpx2
import pytest
from api import Api
from builders import make_attachment, make_document
from expectations import Json, expect_not_modified, expect_problem

BYTES: Final = os.urandom(1_000_000)
SIZE: Final = len(BYTES)
TAG: Final = f'"{hashlib.sha256(BYTES).hexdigest()}"'
NOBODY: Final = "0197f000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
async def where(api: Api) -> str:
    """An attachment of a million bytes."""
    attachment = await make_attachment(api, await make_document(api), BYTES)
    return f"/attachments/{attachment['id']}"


def expect_bytes(response: httpx2.Response, start: int = 0, end: int = SIZE) -> None:
    """The bytes from `start` up to `end`; with fewer than all a part, told where it lies."""
    is_part = end - start < SIZE
    assert response.status_code == (206 if is_part else 200), response.text[:500]
    assert response.content == BYTES[start:end]
    expected = f"bytes {start}-{end - 1}/{SIZE}" if is_part else None
    assert response.headers.get("content-range") == expected
    check_headers(response.headers, end - start)


def check_headers(headers: httpx2.Headers, length: int) -> None:
    assert headers["content-length"] == str(length)
    assert headers["content-type"] == "text/plain"
    assert headers["content-disposition"] == "attachment; filename=\"notes.txt\"; filename*=UTF-8''notes.txt"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"] == TAG


@pytest.mark.clause("FIL-2", "GEN-12")
async def test_the_whole_file_and_its_headers_alone(api: Api, where: str) -> None:
    expect_bytes(await api.get(where))
    head = await api.head(where, headers={"Range": "bytes=0-3"})
    assert head.status_code == 200
    check_headers(head.headers, SIZE)
    expect_problem(await api.get(f"/attachments/{NOBODY}"), 404, "not-found")
    assert (await api.head(f"/attachments/{NOBODY}")).status_code == 404


@pytest.mark.clause("FIL-2")
@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=300000-700000", 300_000, 700_001),
        ("bytes=999999-", SIZE - 1, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        ("BYTES=5-9", 5, 10),
        (f"bytes=10-{'9' * 5_000}", 10, SIZE),
    ],
)
async def test_one_range_gets_its_part(api: Api, where: str, asked: str, start: int, end: int) -> None:
    expect_bytes(await api.get(where, headers={"Range": asked}), start, end)


@pytest.mark.clause("FIL-2")
@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-6",
        "bytes=5-4",
        "bytes=-",
        "bytes=a-b",
        "bytes 0-1",
        "lines=0-1",
        "0-1",
        "bytes=0-1;x",
        "",
    ],
)
async def test_several_ranges_and_what_is_none_get_the_whole(api: Api, where: str, asked: str) -> None:
    expect_bytes(await api.get(where, headers={"Range": asked}))


@pytest.mark.clause("FIL-2")
@pytest.mark.parametrize("asked", ["bytes=0-", f"bytes=0-{SIZE - 1}", f"bytes=-{SIZE + 5}"])
async def test_a_range_over_all_bytes_is_still_a_part(api: Api, where: str, asked: str) -> None:
    answer = await api.get(where, headers={"Range": asked})
    assert (answer.status_code, answer.content == BYTES) == (206, True)
    assert answer.headers["content-range"] == f"bytes 0-{SIZE - 1}/{SIZE}"


@pytest.mark.clause("FIL-2", "GEN-4")
@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={'9' * 40}-", "bytes=-0"])
async def test_a_range_beyond_the_end_is_not_satisfiable(api: Api, where: str, asked: str) -> None:
    answer = await api.get(where, headers={"Range": asked})
    expect_problem(answer, 416, "range-not-satisfiable")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.clause("FIL-2")
async def test_a_range_counts_only_for_the_file_that_if_range_names(api: Api, where: str) -> None:
    asked = {"Range": "bytes=2-5"}
    expect_bytes(await api.get(where, headers={**asked, "If-Range": TAG}), 2, 6)
    for other in ('"other"', f"W/{TAG}", "Sun, 22 Nov 2026 06:33:27 GMT", ""):
        expect_bytes(await api.get(where, headers={**asked, "If-Range": other}))


@pytest.mark.clause("FIL-2", "GEN-10")
async def test_who_has_the_file_gets_no_bytes(api: Api, where: str) -> None:
    for held in (TAG, f'"other", W/{TAG}', "*"):
        expect_not_modified(await api.get(where, headers={"If-None-Match": held}), TAG)
        expect_not_modified(await api.head(where, headers={"If-None-Match": held}), TAG)
        both = {"If-None-Match": held, "Range": f"bytes={SIZE}-"}
        expect_not_modified(await api.get(where, headers=both), TAG)
    expect_bytes(await api.get(where, headers={"If-None-Match": '"other"'}))


@pytest.mark.clause("FIL-2")
async def test_an_empty_file_has_no_part_but_its_end(api: Api) -> None:
    document = await make_document(api)
    path = f"/documents/{document['id']}/attachments"
    created: Json = (await api.post(path, files={"file": ("empty", b"", "text/plain")})).json()
    where = f"/attachments/{created['id']}"
    for headers in ({}, {"Range": "bytes=-5"}):
        answer = await api.get(where, headers=headers)
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    expect_problem(await api.get(where, headers={"Range": "bytes=0-"}), 416, "range-not-satisfiable")
