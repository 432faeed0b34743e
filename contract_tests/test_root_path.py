"""A service that a gateway passes requests on to without their prefix (ROOT_PATH)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from api import Api
from builders import FORM, file_part, form, new_document, new_user, unique_word
from expectations import expect_problem
from talkers import open_socket
from targets import Target
from websockets.exceptions import InvalidStatus

from assay.stand import Stand

PREFIX: Final = "/data-layers/v1"
NOBODY: Final = "01890000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
async def prefixed(target: Target, second_stand: Stand | None) -> AsyncIterator[Api]:
    """A service as its gateway sees it: what clients write before each path is gone already."""
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL has its own prefix")
    environment = {"ROOT_PATH": PREFIX}
    running = await second_stand.start_service(target.service, name="prefixed", environment=environment)
    async with Api(target.name, running.url) as client:
        yield client
    await running.stop()


@pytest.mark.clause("USR-1", "GEN-13")
async def test_the_place_of_a_new_user_begins_with_the_prefix_also_when_it_is_told_again(
    prefixed: Api,
) -> None:
    body, key = new_user(), {"Idempotency-Key": unique_word()}
    first = await prefixed.post("/users", json=body, headers=key)
    again = await prefixed.post("/users", json=body, headers=key)
    assert first.headers["location"] == f"{PREFIX}/users/{first.json()['id']}"
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]


@pytest.mark.clause("DOC-1", "FIL-1")
async def test_the_places_of_documents_and_attachments_begin_with_the_prefix(prefixed: Api) -> None:
    owner = (await prefixed.post("/users", json=new_user())).json()
    document = await prefixed.post("/documents", json=new_document(owner["id"]))
    path = f"/documents/{document.json()['id']}/attachments"
    attachment = await prefixed.post(path, content=form(file_part("f", b"bytes")), headers=FORM)
    assert document.headers["location"] == f"{PREFIX}/documents/{document.json()['id']}"
    assert attachment.headers["location"] == f"{PREFIX}/attachments/{attachment.json()['id']}"


@pytest.mark.clause("GEN-4")
@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", f"/users/{NOBODY}", 404, "not-found"),
        ("GET", "/nothing", 404, "not-found"),
        ("DELETE", "/users", 405, "method-not-allowed"),
        ("GET", "/users/x", 422, "validation"),
        ("GET", "/ws", 426, "upgrade-required"),
    ],
)
async def test_the_instance_of_a_problem_begins_with_the_prefix(
    prefixed: Api, method: str, path: str, status: int, slug: str
) -> None:
    problem = expect_problem(await prefixed.request(method, path), status, slug)
    assert problem["instance"] == f"{PREFIX}{path}"


@pytest.mark.clause("GEN-4", "GEN-13")
async def test_the_instance_of_a_refusal_that_is_told_again_begins_with_the_prefix(prefixed: Api) -> None:
    key = {"Idempotency-Key": unique_word()}
    body = {"document_ids": [NOBODY], "from_owner_id": NOBODY, "to_owner_id": NOBODY}
    first = await prefixed.post("/documents/transfer", json=body, headers=key)
    again = await prefixed.post("/documents/transfer", json=body, headers=key)
    assert expect_problem(first, 409, "conflict")["instance"] == f"{PREFIX}/documents/transfer"
    assert again.json() == first.json()


@pytest.mark.clause("GEN-4", "WS-1")
async def test_the_instance_of_a_refused_handshake_begins_with_the_prefix(prefixed: Api) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(prefixed, origin="https://evil.example"):
            pass
    assert f'"instance":"{PREFIX}/ws"'.encode() in refused.value.response.body


@pytest.mark.clause("OPS-6")
async def test_the_description_leads_to_where_it_was_found(api: Api) -> None:
    assert api.described["servers"] == [{"url": "."}]
