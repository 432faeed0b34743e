"""Uploads that are too large, break off or lose their row: nothing of them stays (FIL-3, GEN-8)."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from api import Api
from builders import BOUNDARY, FORM, file_part, form, make_attachment, make_document, make_user, upload
from expectations import expect_attachment, expect_gone, expect_page, expect_problem
from targets import Target

from assay.stand import RunningService, Stand

NOBODY: Final = "0197f000-0000-7000-8000-000000000000"
MIB: Final = 1024 * 1024
LIMIT: Final = 3 * MIB
ORPHAN_SECONDS: Final = 2.0
WITHIN: Final = 20.0
"""Seconds in which what nobody names must be gone."""


@dataclass
class Place:
    """A service with small limits and short pauses, and the folder of its files."""

    stand: Stand
    target: Target
    folder: Path
    environment: dict[str, str]

    async def start(self) -> RunningService:
        assert self.target.service is not None
        return await self.stand.start_service(
            self.target.service, name="attachments", environment=self.environment
        )

    def files(self) -> set[str]:
        return {path.name for path in self.folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
async def place(
    second_stand: Stand | None, target: Target, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    if second_stand is None:
        pytest.skip("the files behind a URL are not ours to see")
    folder = tmp_path_factory.mktemp("files")
    environment = {
        "FILES_URL": folder.as_uri(),
        "MAX_UPLOAD_BYTES": str(LIMIT),
        "SWEEP_SECONDS": "0.3",
        "ORPHAN_SECONDS": str(ORPHAN_SECONDS),
    }
    place = Place(second_stand, target, folder, environment)
    await place.start()
    yield place
    await second_stand.services["attachments"].stop()


@pytest.fixture
async def api(place: Place) -> AsyncIterator[Api]:
    """The client of that service, also after it was started again."""
    async with Api(place.target.name, place.stand.services["attachments"].url) as client:
        yield client


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not holds():
            await asyncio.sleep(0.05)


async def send_part(
    api: Api, document_id: str, framing: str, body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Sends an upload as far as `body` goes, whatever its `framing` header announces."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = [
        f"POST /documents/{document_id}/attachments HTTP/1.1",
        f"Host: {address.netloc}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        framing,
    ]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    await writer.drain()
    return reader, writer


async def send_half(api: Api, document_id: str) -> asyncio.StreamWriter:
    """Sends most of an upload that is as large as allowed."""
    whole = form(file_part("a", bytes(LIMIT)))
    sent = whole[: 2 * MIB + MIB // 2]
    _, writer = await send_part(api, document_id, f"Content-Length: {len(whole)}", sent)
    return writer


@pytest.mark.clause("GEN-8", "FIL-1")
async def test_a_file_as_large_as_allowed_is_taken_and_a_byte_more_is_not(api: Api, place: Place) -> None:
    document = await make_document(api)
    attachment = expect_attachment(await upload(api, document, bytes(LIMIT)), size=LIMIT)
    expect_problem(await upload(api, document, bytes(LIMIT + 1)), 413, "payload-too-large")
    assert place.files() == {attachment["id"]}


@pytest.mark.clause("GEN-8")
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_too_large_an_upload_is_refused_before_it_is_read_whole(
    api: Api, place: Place, announced: bool
) -> None:
    document = await make_document(api)
    before = place.files()
    framing, body = f"Content-Length: {200 * MIB}", b""
    if not announced:
        chunk = form(file_part("a", bytes(LIMIT + 1)))
        framing, body = "Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(chunk), chunk)
    reader, writer = await send_part(api, document["id"], framing, body)
    async with asyncio.timeout(WITHIN):
        assert (await reader.readline()).split()[1] == b"413"
    writer.close()
    assert place.files() == before


@pytest.mark.clause("FIL-1", "FIL-3", "GEN-13")
async def test_a_refused_or_repeated_upload_leaves_no_file(api: Api, place: Place) -> None:
    document = await make_document(api)
    before = place.files()
    key = {"Idempotency-Key": f"once {document['id']}"}
    expect_problem(await upload(api, {"id": NOBODY}, bytes(2 * MIB)), 404, "not-found")
    for _ in range(2):
        answer = await upload(
            api, {"id": NOBODY}, b"x", headers={"Idempotency-Key": f"never {document['id']}"}
        )
        expect_problem(answer, 404, "not-found")
    truncated = form(file_part("a", bytes(2 * MIB)))[:-20]
    path = f"/documents/{document['id']}/attachments"
    expect_problem(await api.post(path, content=truncated, headers=FORM), 400, "malformed-json")
    assert place.files() == before
    attachment = expect_attachment(await upload(api, document, b"x", headers=key))
    expect_attachment(await upload(api, document, b"x", headers=key))
    expect_problem(await upload(api, document, b"y", headers=key), 409, "conflict")
    assert place.files() == before | {attachment["id"]}
    expect_gone(await api.delete(f"/attachments/{attachment['id']}"))
    assert place.files() == before


@pytest.mark.clause("FIL-3")
async def test_an_upload_that_breaks_off_leaves_neither_a_row_nor_a_file(api: Api, place: Place) -> None:
    document = await make_document(api)
    before = place.files()
    writer = await send_half(api, document["id"])
    await eventually(lambda: place.files() > before)
    writer.close()
    await eventually(lambda: place.files() == before)
    assert expect_page(await api.get(f"/documents/{document['id']}/attachments")) == ([], None)


@pytest.mark.clause("FIL-3")
async def test_what_an_upload_left_when_its_service_was_killed_is_swept(api: Api, place: Place) -> None:
    document = await make_document(api)
    kept = await make_attachment(api, document)
    before = place.files()
    writer = await send_half(api, document["id"])
    await eventually(lambda: place.files() > before)
    await place.stand.services["attachments"].child.kill(0)
    writer.close()
    assert place.files() > before
    restarted = await place.start()
    await eventually(lambda: place.files() == before)
    async with Api(place.target.name, restarted.url) as again:
        assert (await again.get(f"/attachments/{kept['id']}")).status_code == 200


@pytest.mark.clause("FIL-3", "DOC-4", "USR-5")
async def test_bytes_that_no_row_names_are_swept_and_others_are_not(api: Api, place: Place) -> None:
    owner = await make_user(api)
    document, of_owner = await make_document(api), await make_document(api, owner)
    gone = [await make_attachment(api, document), await make_attachment(api, of_owner)]
    kept = await make_attachment(api, await make_document(api))
    room = next(path for path in place.folder.rglob(kept["id"])).parent
    (room / str(uuid4())).write_bytes(b"nobody knows me")
    (room / "README").write_bytes(b"no attachment at all")
    before = place.files()
    expect_gone(await api.delete(f"/documents/{document['id']}"))
    expect_gone(await api.delete(f"/users/{owner['id']}"))
    await eventually(lambda: not place.files() & {attachment["id"] for attachment in gone})
    await eventually(lambda: len(before - place.files()) == 3)
    assert {kept["id"], "README"} <= place.files()
    (room / "README").unlink()


@pytest.mark.clause("FIL-2", "GEN-4")
async def test_a_row_whose_bytes_are_lost_is_no_missing_row(api: Api, place: Place) -> None:
    attachment = await make_attachment(api, await make_document(api))
    next(place.folder.rglob(attachment["id"])).unlink()
    answer = await api.get(f"/attachments/{attachment['id']}")
    expect_problem(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    expect_gone(await api.delete(f"/attachments/{attachment['id']}"))


@pytest.mark.clause("FIL-1", "FIL-2")
async def test_uploads_and_downloads_run_side_by_side(api: Api) -> None:
    document = await make_document(api)
    contents = [os.urandom(MIB + number) for number in range(6)]

    async def there_and_back(content: bytes) -> None:
        attachment = expect_attachment(await upload(api, document, content))
        assert (await api.get(f"/attachments/{attachment['id']}")).content == content

    await asyncio.gather(*map(there_and_back, contents))
