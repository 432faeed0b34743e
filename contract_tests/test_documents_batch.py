"""Documents in batches (DOC-5)."""

from typing import Any

import pytest
from api import Api
from builders import make_user, new_document
from expectations import check_document, expect_page, expect_places, expect_problem, same_json, walk

NOBODY = "0197f000-0000-7000-8000-000000000000"
SOMEBODY = "0197f000-0000-7000-8000-000000000001"


@pytest.mark.clause("DOC-5")
@pytest.mark.parametrize("count", [1, 2, 1000])
async def test_a_batch_is_answered_in_the_order_sent_and_stored_whole(api: Api, count: int) -> None:
    owner = await make_user(api)
    bodies = [
        new_document(owner["id"], title=f"title {-number}", content={"n": number}, tags=[f"t{number}"])
        for number in range(count)
    ]
    answer = await api.post("/documents/batch", json=bodies)
    assert answer.status_code == 201
    assert set(answer.json()) == {"items"}
    items = answer.json()["items"]
    assert [{name: item[name] for name in body} for item, body in zip(items, bodies, strict=True)] == bodies
    stored = await walk(api, "/documents", {"owner_id": owner["id"], "limit": 200})
    assert sorted(stored, key=lambda item: item["id"]) == sorted(items, key=lambda item: item["id"])


@pytest.mark.clause("DOC-5", "DOC-1")
async def test_each_item_is_a_whole_document_of_version_one(api: Api) -> None:
    first, second = await make_user(api), await make_user(api)
    bodies = [{"owner_id": owner["id"], "title": "t"} for owner in (first, second, first)]
    items = (await api.post("/documents/batch", json=bodies)).json()["items"]
    for item, body in zip(items, bodies, strict=True):
        check_document(item, version=1, content={}, tags=[], **body)
    assert len({item["id"] for item in items}) == 3


@pytest.mark.clause("DOC-5", "GEN-6")
async def test_awkward_contents_come_back_from_a_batch_as_from_a_single_create(api: Api) -> None:
    owner = await make_user(api)
    contents: list[dict[str, Any]] = [
        {"$set": {"a.b": 1}},
        {"$ref": "users", "$id": 1},
        {"v": [2**63 - 1, 1e22, -0.0, 1.0]},
        {"": None, "_id": "\U0001f600"},
    ]
    bodies = [new_document(owner["id"], content=content) for content in contents]
    items = (await api.post("/documents/batch", json=bodies)).json()["items"]
    read = [(await api.get(f"/documents/{item['id']}")).json()["content"] for item in items]
    assert same_json([item["content"] for item in items], contents)
    assert same_json(read, contents)


@pytest.mark.clause("DOC-5", "GEN-4")
async def test_unknown_owners_are_all_named_by_their_places_and_nothing_is_stored(api: Api) -> None:
    owner = await make_user(api)
    owners = [owner["id"], NOBODY, owner["id"], SOMEBODY, NOBODY]
    answer = await api.post("/documents/batch", json=[new_document(one) for one in owners])
    problem = expect_problem(answer, 422, "validation")
    expect_places(problem, *(["body", place, "owner_id"] for place in (1, 3, 4)))
    assert expect_page(await api.get("/documents", params={"owner_id": owner["id"]})) == ([], None)


@pytest.mark.clause("DOC-5", "GEN-4")
@pytest.mark.parametrize(
    ("change", "loc"),
    [
        pytest.param({"title": ""}, ["body", 1, "title"], id="an empty title"),
        pytest.param({"title": "a\0"}, ["body", 1, "title"], id="U+0000 in a title"),
        pytest.param({"content": {"v": 2**63}}, ["body", 1, "content"], id="an integer out of range"),
        pytest.param({"content": []}, ["body", 1, "content"], id="content a list"),
        pytest.param({"tags": ["a", ""]}, ["body", 1, "tags", 1], id="an empty tag"),
        pytest.param({"colour": "red"}, ["body", 1, "colour"], id="an unknown field"),
        pytest.param({"owner_id": "x"}, ["body", 1, "owner_id"], id="a malformed owner"),
    ],
)
async def test_one_bad_item_refuses_the_batch_by_its_place(
    api: Api, change: dict[str, Any], loc: list[str | int]
) -> None:
    owner = await make_user(api)
    good = new_document(owner["id"])
    bodies = [good, {**good, **change}, good]
    expect_problem(await api.post("/documents/batch", json=bodies), 422, "validation", loc)
    assert expect_page(await api.get("/documents", params={"owner_id": owner["id"]})) == ([], None)


@pytest.mark.clause("DOC-5", "GEN-1")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("[]", id="no item"),
        pytest.param("[" + ",".join(["{}"] * 1001) + "]", id="1,001 items"),
        pytest.param('{"items":[]}', id="an object"),
        pytest.param("null", id="null"),
        pytest.param("[null]", id="null inside"),
        pytest.param("[[]]", id="a list inside"),
        pytest.param('"x"', id="a string"),
    ],
)
async def test_a_batch_of_another_form_is_refused(api: Api, body: str) -> None:
    answer = await api.post("/documents/batch", content=body, headers={"Content-Type": "application/json"})
    expect_problem(answer, 422, "validation")


@pytest.mark.clause("DOC-5")
async def test_a_batch_of_1001_valid_documents_stores_none(api: Api) -> None:
    owner = await make_user(api)
    bodies = [{"owner_id": owner["id"], "title": "t"}] * 1001
    expect_problem(await api.post("/documents/batch", json=bodies), 422, "validation")
    assert expect_page(await api.get("/documents", params={"owner_id": owner["id"]})) == ([], None)
