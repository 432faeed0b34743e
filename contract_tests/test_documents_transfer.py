"""Documents that change their owner, all or none (DOC-8)."""

from typing import Any

import pytest
from api import Api
from builders import make_document, make_documents, make_user
from expectations import expect_document, expect_page, expect_places, expect_problem, walk

NOBODY = "0197f000-0000-7000-8000-000000000000"
Rows = list[dict[str, Any]]


def transfer(documents: Rows, giver: str, taker: str) -> dict[str, Any]:
    """The body of a transfer."""
    return {
        "document_ids": [document["id"] for document in documents],
        "from_owner_id": giver,
        "to_owner_id": taker,
    }


async def owned(api: Api, owner: str) -> Rows:
    """All documents of an owner, by id."""
    rows = await walk(api, "/documents", {"owner_id": owner, "limit": 200})
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.clause("DOC-8")
@pytest.mark.parametrize("count", [1, 3, 1000])
async def test_all_documents_go_to_the_new_owner_one_version_up(api: Api, count: int) -> None:
    giver, taker = await make_user(api), await make_user(api)
    documents = await make_documents(api, giver, count)
    answer = await api.post("/documents/transfer", json=transfer(documents, giver["id"], taker["id"]))
    assert (answer.status_code, answer.json()) == (200, {"transferred": count})
    now = await owned(api, taker["id"])
    changed = {"owner_id": taker["id"], "version": 2}
    expected = sorted(documents, key=lambda row: row["id"])
    assert now == [
        {**before, **changed, "updated_at": after["updated_at"]}
        for before, after in zip(expected, now, strict=True)
    ]
    assert all(row["updated_at"] >= row["created_at"] for row in now)
    assert await owned(api, giver["id"]) == []


@pytest.mark.clause("DOC-8", "GEN-10")
async def test_a_transfer_outdates_the_etag_and_leaves_other_documents_alone(api: Api) -> None:
    giver, taker = await make_user(api), await make_user(api)
    moved, kept = await make_documents(api, giver, 2)
    await api.post("/documents/transfer", json=transfer([moved], giver["id"], taker["id"]))
    path = f"/documents/{moved['id']}"
    expect_document(await api.get(path), version=2, owner_id=taker["id"])
    stale = await api.patch(path, json={"title": "T"}, headers={"If-Match": '"1"'})
    expect_problem(stale, 412, "precondition-failed")
    assert await owned(api, giver["id"]) == [kept]


@pytest.mark.clause("DOC-8", "DOC-2")
async def test_a_transferred_document_carries_its_new_owner(api: Api) -> None:
    giver, taker = await make_user(api), await make_user(api)
    document = await make_document(api, giver)
    await api.post("/documents/transfer", json=transfer([document], giver["id"], taker["id"]))
    answer = await api.get(f"/documents/{document['id']}?include=owner")
    assert answer.json()["owner"] == taker


@pytest.mark.clause("DOC-8", "GEN-10")
async def test_a_transfer_to_the_same_owner_changes_nothing(api: Api) -> None:
    owner = await make_user(api)
    documents = await make_documents(api, owner, 3)
    answer = await api.post("/documents/transfer", json=transfer(documents, owner["id"], owner["id"]))
    assert (answer.status_code, answer.json()) == (200, {"transferred": 3})
    assert await owned(api, owner["id"]) == sorted(documents, key=lambda row: row["id"])


@pytest.mark.clause("DOC-8", "GEN-4")
async def test_documents_that_the_giver_does_not_own_are_named_and_nothing_changes(api: Api) -> None:
    giver, taker, other = await make_user(api), await make_user(api), await make_user(api)
    first, second = await make_documents(api, giver, 2)
    foreign = await make_document(api, other)
    taken = await make_document(api, taker)
    asked = [first, foreign, second, {"id": NOBODY}, taken]
    answer = await api.post("/documents/transfer", json=transfer(asked, giver["id"], taker["id"]))
    problem = expect_problem(answer, 409, "conflict")
    expect_places(problem, *(["body", "document_ids", place] for place in (1, 3, 4)))
    assert [await owned(api, one["id"]) for one in (other, taker)] == [[foreign], [taken]]
    assert await owned(api, giver["id"]) == sorted([first, second], key=lambda row: row["id"])


@pytest.mark.clause("DOC-8")
async def test_a_document_of_another_is_a_conflict_even_if_giver_and_taker_are_one(api: Api) -> None:
    owner, foreign = await make_user(api), await make_document(api)
    answer = await api.post("/documents/transfer", json=transfer([foreign], owner["id"], owner["id"]))
    problem = expect_problem(answer, 409, "conflict")
    expect_places(problem, ["body", "document_ids", 0])


@pytest.mark.clause("DOC-8")
@pytest.mark.parametrize("side", ["from_owner_id", "to_owner_id"])
async def test_an_unknown_owner_is_a_conflict_and_nothing_changes(api: Api, side: str) -> None:
    document = await make_document(api)
    body = {**transfer([document], document["owner_id"], document["owner_id"]), side: NOBODY}
    expect_problem(await api.post("/documents/transfer", json=body), 409, "conflict")
    assert (await api.get(f"/documents/{document['id']}")).json() == document


@pytest.mark.clause("DOC-8")
async def test_a_deleted_taker_is_a_conflict(api: Api) -> None:
    document, taker = await make_document(api), await make_user(api)
    await api.delete(f"/users/{taker['id']}")
    body = transfer([document], document["owner_id"], taker["id"])
    expect_problem(await api.post("/documents/transfer", json=body), 409, "conflict")
    assert (await api.get(f"/documents/{document['id']}")).json() == document


@pytest.mark.clause("DOC-8")
async def test_a_second_transfer_from_the_old_owner_is_a_conflict(api: Api) -> None:
    giver, taker = await make_user(api), await make_user(api)
    document = await make_document(api, giver)
    body = transfer([document], giver["id"], taker["id"])
    first = await api.post("/documents/transfer", json=body)
    expect_problem(await api.post("/documents/transfer", json=body), 409, "conflict")
    assert first.status_code == 200
    expect_document(await api.get(f"/documents/{document['id']}"), version=2)


@pytest.mark.clause("DOC-8", "GEN-4")
async def test_repeated_ids_are_refused_and_nothing_changes(api: Api) -> None:
    giver, taker = await make_user(api), await make_user(api)
    first, second = await make_documents(api, giver, 2)
    body = transfer([first, second, first], giver["id"], taker["id"])
    expect_problem(await api.post("/documents/transfer", json=body), 422, "validation")
    assert expect_page(await api.get("/documents", params={"owner_id": taker["id"]})) == ([], None)


@pytest.mark.clause("DOC-8", "GEN-1")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"document_ids": []}, id="no document"),
        pytest.param(
            {"document_ids": [f"{n:08x}-0000-7000-8000-000000000000" for n in range(1001)]}, id="1,001"
        ),
        pytest.param({"document_ids": None}, id="null"),
        pytest.param({"document_ids": NOBODY}, id="a string"),
        pytest.param({"document_ids": ["x"]}, id="a malformed id"),
        pytest.param({"document_ids": [NOBODY.replace("f", "F")]}, id="an id in capitals"),
        pytest.param({"document_ids": [1]}, id="a number"),
        pytest.param({"from_owner_id": None}, id="no giver"),
        pytest.param({"from_owner_id": "x"}, id="a malformed giver"),
        pytest.param({"to_owner_id": "x"}, id="a malformed taker"),
        pytest.param({"to_owner_id": {"$ne": 1}}, id="an object for an id"),
        pytest.param({"colour": "red"}, id="an unknown field"),
    ],
)
async def test_a_transfer_of_another_form_is_refused(api: Api, change: dict[str, Any]) -> None:
    body = {**transfer([{"id": NOBODY}], NOBODY, NOBODY), **change}
    expect_problem(await api.post("/documents/transfer", json=body), 422, "validation")


@pytest.mark.clause("DOC-8", "GEN-1")
@pytest.mark.parametrize("missing", ["document_ids", "from_owner_id", "to_owner_id"])
async def test_a_transfer_wants_all_of_its_fields(api: Api, missing: str) -> None:
    body = transfer([{"id": NOBODY}], NOBODY, NOBODY)
    del body[missing]
    answer = await api.post("/documents/transfer", json=body)
    expect_problem(answer, 422, "validation", ["body", missing])


@pytest.mark.clause("DOC-8", "GEN-12", "GEN-2")
@pytest.mark.parametrize("path", ["/documents/transfer", "/documents/batch"])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_fixed_names_are_no_document_ids(api: Api, path: str, method: str) -> None:
    answer = await api.request(method, path)
    expect_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"
