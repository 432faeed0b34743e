"""Documents one by one: create, read, replace, delete (DOC-1 … DOC-4)."""

from typing import Any

import pytest
from api import Api
from builders import etag, if_match, make_document, make_user, new_document
from expectations import (
    DOCUMENT_FIELDS,
    USER_FIELDS,
    expect_document,
    expect_gone,
    expect_not_modified,
    expect_problem,
)

NOBODY = "0197f000-0000-7000-8000-000000000000"
WHOLE: dict[str, Any] = {"title": "New", "content": {"new": True}, "tags": ["new"]}


@pytest.fixture(scope="module")
async def owner(api: Api) -> dict[str, Any]:
    """A user who owns what the tests of this module make."""
    return await make_user(api)


@pytest.mark.clause("DOC-1", "GEN-10")
async def test_a_created_document_is_answered_whole_and_reads_back_the_same(
    api: Api, owner: dict[str, Any]
) -> None:
    body = new_document(owner["id"], title="Notes", content={"a": [1, {"b": None}]}, tags=["x", "y"])
    created = expect_document(await api.post("/documents", json=body), 201, version=1, **body)
    assert created["created_at"] == created["updated_at"]
    read = expect_document(await api.get(f"/documents/{created['id']}"))
    assert read == created


@pytest.mark.clause("DOC-1")
async def test_content_defaults_to_an_empty_object_and_tags_to_an_empty_list(
    api: Api, owner: dict[str, Any]
) -> None:
    answer = await api.post("/documents", json={"owner_id": owner["id"], "title": "Bare"})
    expect_document(answer, 201, content={}, tags=[])


@pytest.mark.clause("DOC-1")
async def test_repeated_tags_are_dropped_before_they_are_counted(api: Api, owner: dict[str, Any]) -> None:
    tags = [f"t{number}" for number in range(32)]
    document = await make_document(api, owner, tags=[*tags, *reversed(tags)])
    assert document["tags"] == tags


@pytest.mark.clause("DOC-1", "GEN-4")
async def test_an_unknown_owner_is_refused_by_its_place(api: Api) -> None:
    answer = await api.post("/documents", json=new_document(NOBODY))
    expect_problem(answer, 422, "validation", ["body", "owner_id"])


@pytest.mark.clause("DOC-1", "GEN-1")
@pytest.mark.parametrize(
    ("change", "loc"),
    [
        pytest.param({"title": ""}, ["body", "title"], id="an empty title"),
        pytest.param({"title": None}, ["body", "title"], id="title null"),
        pytest.param({"owner_id": "x"}, ["body", "owner_id"], id="a malformed owner"),
        pytest.param({"owner_id": NOBODY.upper()}, ["body", "owner_id"], id="an owner in capitals"),
        pytest.param({"owner_id": None}, ["body", "owner_id"], id="owner null"),
        pytest.param({"content": None}, ["body", "content"], id="content null"),
        pytest.param({"tags": None}, ["body", "tags"], id="tags null"),
        pytest.param({"tags": ["a", ""]}, ["body", "tags", 1], id="an empty tag"),
        pytest.param({"version": 1}, ["body", "version"], id="a version"),
        pytest.param({"id": NOBODY}, ["body", "id"], id="an id"),
        pytest.param({"created_at": "2026-01-01T00:00:00.000Z"}, ["body", "created_at"], id="a time"),
        pytest.param({"colour": "red"}, ["body", "colour"], id="an unknown field"),
    ],
)
async def test_a_bad_field_is_refused_by_its_place(
    api: Api, owner: dict[str, Any], change: dict[str, Any], loc: list[str | int]
) -> None:
    answer = await api.post("/documents", json={**new_document(owner["id"]), **change})
    expect_problem(answer, 422, "validation", loc)


@pytest.mark.clause("DOC-1")
@pytest.mark.parametrize("missing", ["owner_id", "title"])
async def test_a_missing_field_is_refused_by_its_place(api: Api, missing: str) -> None:
    body = new_document(NOBODY)
    del body[missing]
    expect_problem(await api.post("/documents", json=body), 422, "validation", ["body", missing])


@pytest.mark.clause("DOC-2", "GEN-10")
async def test_a_document_that_did_not_change_is_answered_with_304(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner)
    answer = await api.get(f"/documents/{document['id']}", headers={"If-None-Match": etag(document)})
    expect_not_modified(answer, etag(document))


@pytest.mark.clause("DOC-2", "GEN-10")
async def test_a_document_that_changed_is_answered_whole(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner)
    await api.patch(f"/documents/{document['id']}", json={"title": "2"}, headers=if_match(document))
    answer = await api.get(f"/documents/{document['id']}", headers={"If-None-Match": etag(document)})
    expect_document(answer, version=2, title="2")


@pytest.mark.clause("DOC-2", "GEN-2")
@pytest.mark.parametrize("query", ["", "?include=owner"], ids=["plain", "with its owner"])
async def test_an_id_that_names_no_document_gets_404(api: Api, query: str) -> None:
    expect_problem(await api.get(f"/documents/{NOBODY}{query}"), 404, "not-found")


@pytest.mark.clause("DOC-2", "GEN-2")
async def test_the_id_of_a_user_names_no_document(api: Api) -> None:
    user = await make_user(api)
    expect_problem(await api.get(f"/documents/{user['id']}"), 404, "not-found")


@pytest.mark.clause("DOC-2")
async def test_a_document_carries_its_owner_if_asked(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner)
    answer = await api.get(f"/documents/{document['id']}", params={"include": "owner"})
    assert answer.status_code == 200
    assert answer.json() == {**document, "owner": owner}
    assert set(answer.json()["owner"]) == USER_FIELDS
    assert set(answer.json()) == DOCUMENT_FIELDS | {"owner"}


@pytest.mark.clause("DOC-2")
@pytest.mark.parametrize("header", ['"1"', "*", '"2", "1"'])
async def test_a_document_with_its_owner_has_no_etag_and_no_304(
    api: Api, owner: dict[str, Any], header: str
) -> None:
    document = await make_document(api, owner)
    path = f"/documents/{document['id']}?include=owner"
    answer = await api.get(path, headers={"If-None-Match": header})
    assert answer.status_code == 200
    assert "etag" not in answer.headers


@pytest.mark.clause("DOC-2")
async def test_an_included_owner_is_the_owner_as_it_is_now(api: Api) -> None:
    owner = await make_user(api)
    document = await make_document(api, owner)
    await api.patch(f"/users/{owner['id']}", json={"name": "Grace"}, headers=if_match(owner))
    answer = await api.get(f"/documents/{document['id']}?include=owner")
    assert (answer.json()["owner"]["name"], answer.json()["version"]) == ("Grace", 1)


@pytest.mark.clause("DOC-2", "GEN-1")
@pytest.mark.parametrize(
    "query",
    [
        "include=",
        "include=user",
        "include=owner,owner",
        "include=OWNER",
        "include=owner&include=owner",
        "x=1",
    ],
)
async def test_another_query_is_refused_on_a_document(api: Api, owner: dict[str, Any], query: str) -> None:
    document = await make_document(api, owner)
    expect_problem(await api.get(f"/documents/{document['id']}?{query}"), 422, "validation")


@pytest.mark.clause("DOC-3", "GEN-10")
async def test_put_replaces_title_content_and_tags_and_keeps_the_rest(
    api: Api, owner: dict[str, Any]
) -> None:
    document = await make_document(api, owner)
    answer = await api.put(f"/documents/{document['id']}", json=WHOLE, headers=if_match(document))
    replaced = expect_document(answer, version=2, **WHOLE)
    kept = ("id", "owner_id", "created_at")
    assert [replaced[name] for name in kept] == [document[name] for name in kept]
    assert replaced["updated_at"] >= document["updated_at"]
    assert (await api.get(f"/documents/{document['id']}")).json() == replaced


@pytest.mark.clause("DOC-3")
@pytest.mark.parametrize("missing", ["title", "content", "tags"])
async def test_put_wants_all_of_its_fields(api: Api, owner: dict[str, Any], missing: str) -> None:
    document = await make_document(api, owner)
    body = {name: value for name, value in WHOLE.items() if name != missing}
    answer = await api.put(f"/documents/{document['id']}", json=body, headers=if_match(document))
    expect_problem(answer, 422, "validation", ["body", missing])


@pytest.mark.clause("DOC-3", "GEN-1")
@pytest.mark.parametrize("field", ["owner_id", "id", "version", "created_at"])
async def test_put_takes_no_other_field(api: Api, owner: dict[str, Any], field: str) -> None:
    document = await make_document(api, owner)
    body = {**WHOLE, field: document[field]}
    answer = await api.put(f"/documents/{document['id']}", json=body, headers=if_match(document))
    expect_problem(answer, 422, "validation", ["body", field])
    assert (await api.get(f"/documents/{document['id']}")).json() == document


@pytest.mark.clause("DOC-3", "GEN-10")
async def test_put_of_equal_values_changes_nothing(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner, content={"a": 1, "b": [True, None]}, tags=["x", "y"])
    body = {"title": document["title"], "content": {"b": [True, None], "a": 1.0}, "tags": ["x", "y", "x"]}
    answer = await api.put(f"/documents/{document['id']}", json=body, headers=if_match(document))
    assert expect_document(answer) == document


@pytest.mark.clause("DOC-3", "GEN-10")
@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"content": {"a": True, "b": [1, 2]}}, id="true for one"),
        pytest.param({"content": {"a": "1", "b": [1, 2]}}, id="a string for a number"),
        pytest.param({"content": {"a": 1, "b": [2, 1]}}, id="the order of a list"),
        pytest.param({"content": {"a": 1, "b": [1, 2], "c": None}}, id="one key more"),
        pytest.param({"tags": ["y", "x"]}, id="the order of the tags"),
        pytest.param({"title": "CAFÉ"}, id="the case of the title"),
        pytest.param({"title": "cafe\u0301"}, id="the normal form of the title"),
    ],
)
async def test_put_of_values_that_only_look_equal_is_a_change(
    api: Api, owner: dict[str, Any], change: dict[str, Any]
) -> None:
    fields = {"title": "café", "content": {"a": 1, "b": [1, 2]}, "tags": ["x", "y"]}
    document = await make_document(api, owner, **fields)
    answer = await api.put(
        f"/documents/{document['id']}", json={**fields, **change}, headers=if_match(document)
    )
    expect_document(answer, version=2, **{**fields, **change})


@pytest.mark.clause("DOC-3", "GEN-10")
@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        pytest.param({}, 428, "precondition-required", id="none"),
        pytest.param({"If-Match": '"2"'}, 412, "precondition-failed", id="another version"),
        pytest.param({"If-Match": 'W/"1"'}, 412, "precondition-failed", id="weak"),
        pytest.param({"If-Match": "1"}, 412, "precondition-failed", id="unquoted"),
        pytest.param({"If-Match": '"01"'}, 412, "precondition-failed", id="another spelling"),
        pytest.param({"If-Match": '"2", "3"'}, 412, "precondition-failed", id="a list without it"),
        pytest.param({"If-Match": f'"{10**30}"'}, 412, "precondition-failed", id="a version out of range"),
    ],
)
async def test_put_without_the_current_etag_changes_nothing(
    api: Api, owner: dict[str, Any], headers: dict[str, str], status: int, slug: str
) -> None:
    document = await make_document(api, owner)
    expect_problem(await api.put(f"/documents/{document['id']}", json=WHOLE, headers=headers), status, slug)
    assert (await api.get(f"/documents/{document['id']}")).json() == document


@pytest.mark.clause("DOC-3", "GEN-10")
@pytest.mark.parametrize("header", ['"1"', "*", '"7", "1"', 'W/"1", "1"'])
async def test_put_with_an_etag_that_matches_goes_through(
    api: Api, owner: dict[str, Any], header: str
) -> None:
    document = await make_document(api, owner)
    answer = await api.put(f"/documents/{document['id']}", json=WHOLE, headers={"If-Match": header})
    expect_document(answer, version=2, **WHOLE)


@pytest.mark.clause("DOC-3", "GEN-2", "GEN-10")
@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-Match": '"1"'}], ids=["none", "any", "one"])
async def test_put_of_no_document_gets_404_before_its_etag_is_asked(
    api: Api, headers: dict[str, str]
) -> None:
    expect_problem(await api.put(f"/documents/{NOBODY}", json=WHOLE, headers=headers), 404, "not-found")


@pytest.mark.clause("DOC-4", "GEN-10")
@pytest.mark.parametrize(
    "headers", [{}, {"If-Match": '"1"'}, {"If-Match": "*"}], ids=["none", "current", "any"]
)
async def test_a_deleted_document_is_gone(api: Api, owner: dict[str, Any], headers: dict[str, str]) -> None:
    document = await make_document(api, owner)
    path = f"/documents/{document['id']}"
    expect_gone(await api.delete(path, headers=headers))
    expect_problem(await api.get(path), 404, "not-found")
    expect_problem(await api.delete(path, headers=headers), 404, "not-found")
    expect_problem(await api.put(path, json=WHOLE, headers=if_match(document)), 404, "not-found")
    expect_problem(await api.get(f"{path}/stats"), 404, "not-found")


@pytest.mark.clause("DOC-4", "GEN-10")
@pytest.mark.parametrize("header", ['"2"', 'W/"1"', "nonsense"])
async def test_delete_with_a_stale_etag_deletes_nothing(api: Api, owner: dict[str, Any], header: str) -> None:
    document = await make_document(api, owner)
    path = f"/documents/{document['id']}"
    expect_problem(await api.delete(path, headers={"If-Match": header}), 412, "precondition-failed")
    assert (await api.get(path)).json() == document
