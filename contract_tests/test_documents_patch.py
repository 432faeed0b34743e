"""Merge patches of documents (DOC-3, RFC 7396)."""

import json
from typing import Any

import pytest
from api import Api
from builders import if_match, make_document, make_user
from expectations import expect_document, expect_problem

MERGE_PATCH = "application/merge-patch+json"
MEBIBYTE = 1024 * 1024
NOBODY = "0197f000-0000-7000-8000-000000000000"


def nested(depth: int) -> dict[str, Any]:
    """An object of that many levels."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


@pytest.fixture(scope="module")
async def owner(api: Api) -> dict[str, Any]:
    """A user who owns what the tests of this module make."""
    return await make_user(api)


@pytest.mark.clause("DOC-3")
@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        pytest.param({"a": "b"}, {"a": "c"}, {"a": "c"}, id="replace"),
        pytest.param({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}, id="add"),
        pytest.param({"a": "b"}, {"a": None}, {}, id="remove"),
        pytest.param({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}, id="remove one of two"),
        pytest.param({"a": ["b"]}, {"a": "c"}, {"a": "c"}, id="a list by a string"),
        pytest.param({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}, id="a string by a list"),
        pytest.param(
            {"a": {"b": "c"}},
            {"a": {"b": "d", "c": None}},
            {"a": {"b": "d"}},
            id="merge inside, remove nothing",
        ),
        pytest.param({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}, id="lists are replaced whole"),
        pytest.param({"e": None}, {"a": 1}, {"e": None, "a": 1}, id="a stored null stays"),
        pytest.param({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}, id="nulls vanish from new objects"),
        pytest.param({"a": 1}, {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}, id="a number by an object"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}, id="an emptied object stays"),
        pytest.param({"a": 1}, {"a": [None]}, {"a": [None]}, id="null inside a list stays"),
        pytest.param({"a.b": 1, "a": {"b": 2}}, {"a.b": 3}, {"a.b": 3, "a": {"b": 2}}, id="dotted keys"),
        pytest.param({"$set": {"x": 1}}, {"$set": {"y": 2}}, {"$set": {"x": 1, "y": 2}}, id="operator keys"),
        pytest.param({"": {"": 1}}, {"": {"": 2}}, {"": {"": 2}}, id="empty keys"),
        pytest.param({"a": "$b", "b": 1}, {"a": "$b.c"}, {"a": "$b.c", "b": 1}, id="strings with a dollar"),
        pytest.param({"a": 1}, {"a": {"$literal": 1}}, {"a": {"$literal": 1}}, id="objects with operators"),
    ],
)
async def test_content_is_merged_as_rfc_7396_says(
    api: Api, owner: dict[str, Any], before: dict[str, Any], patch: dict[str, Any], after: dict[str, Any]
) -> None:
    document = await make_document(api, owner, content=before)
    path = f"/documents/{document['id']}"
    answer = await api.patch(path, json={"content": patch}, headers=if_match(document))
    patched = expect_document(
        answer, version=2, content=after, title=document["title"], tags=document["tags"]
    )
    assert (await api.get(path)).json() == patched


@pytest.mark.clause("DOC-3")
@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"title": "Other"}, id="title"),
        pytest.param({"tags": ["other", "more"]}, id="tags"),
        pytest.param({"tags": []}, id="no tags"),
        pytest.param({"title": "Other", "tags": ["more"]}, id="title and tags"),
    ],
)
async def test_a_patch_changes_the_fields_it_names_and_no_other(
    api: Api, owner: dict[str, Any], patch: dict[str, Any]
) -> None:
    document = await make_document(api, owner)
    answer = await api.patch(f"/documents/{document['id']}", json=patch, headers=if_match(document))
    patched = expect_document(answer, version=2, **patch)
    assert patched == {**document, **patch, "version": 2, "updated_at": patched["updated_at"]}


@pytest.mark.clause("DOC-3", "GEN-1")
@pytest.mark.parametrize("media_type", [MERGE_PATCH, "application/json", f"{MERGE_PATCH}; charset=utf-8"])
async def test_a_patch_is_taken_as_json_and_as_merge_patch(
    api: Api, owner: dict[str, Any], media_type: str
) -> None:
    document = await make_document(api, owner)
    headers = {**if_match(document), "Content-Type": media_type}
    answer = await api.patch(f"/documents/{document['id']}", content=b'{"title":"T"}', headers=headers)
    expect_document(answer, version=2, title="T")


@pytest.mark.clause("DOC-3", "GEN-1", "GEN-4")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/json-patch+json", "application/xml", "*/*"]
)
async def test_another_media_type_gets_415(
    api: Api, owner: dict[str, Any], method: str, media_type: str
) -> None:
    document = await make_document(api, owner)
    headers = {**if_match(document), "Content-Type": media_type}
    body = json.dumps({"title": "T", "content": {}, "tags": []})
    answer = await api.request(method, f"/documents/{document['id']}", content=body, headers=headers)
    expect_problem(answer, 415, "unsupported-media-type")


@pytest.mark.clause("DOC-3", "GEN-1")
async def test_a_merge_patch_is_taken_by_patch_alone(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner)
    headers = {**if_match(document), "Content-Type": MERGE_PATCH}
    body = json.dumps({"title": "T", "content": {}, "tags": []})
    answer = await api.put(f"/documents/{document['id']}", content=body, headers=headers)
    expect_problem(answer, 415, "unsupported-media-type")


@pytest.mark.clause("DOC-3", "GEN-10")
@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({}, id="empty"),
        pytest.param({"title": "Same"}, id="the same title"),
        pytest.param({"content": {}}, id="an empty content"),
        pytest.param({"content": {"a": 1.0}}, id="1.0 for 1"),
        pytest.param({"content": {"z": -0.0}}, id="minus zero for zero"),
        pytest.param({"content": {"missing": None}}, id="remove what is not there"),
        pytest.param({"content": {"o": {}}}, id="an empty object inside"),
        pytest.param({"content": {"o": {"y": None}}}, id="remove inside what is not there"),
        pytest.param({"content": {"o": {"x": [1, 2]}}}, id="the same list inside"),
        pytest.param({"tags": ["x", "y", "x"]}, id="the same tags with a repeat"),
    ],
)
async def test_a_patch_that_changes_nothing_keeps_version_and_time(
    api: Api, owner: dict[str, Any], patch: dict[str, Any]
) -> None:
    document = await make_document(
        api, owner, title="Same", content={"a": 1, "z": 0, "o": {"x": [1, 2]}}, tags=["x", "y"]
    )
    answer = await api.patch(f"/documents/{document['id']}", json=patch, headers=if_match(document))
    assert expect_document(answer) == document


@pytest.mark.clause("DOC-3", "GEN-1", "GEN-4")
@pytest.mark.parametrize(
    ("body", "loc"),
    [
        pytest.param('{"title":null}', ["body", "title"], id="title null"),
        pytest.param('{"content":null}', ["body", "content"], id="content null"),
        pytest.param('{"tags":null}', ["body", "tags"], id="tags null"),
        pytest.param('{"title":""}', ["body", "title"], id="an empty title"),
        pytest.param('{"content":[]}', ["body", "content"], id="content a list"),
        pytest.param('{"content":"x"}', ["body", "content"], id="content a string"),
        pytest.param('{"tags":{"0":"x"}}', ["body", "tags"], id="tags an object"),
        pytest.param('{"owner_id":"x"}', ["body", "owner_id"], id="the owner"),
        pytest.param('{"version":2}', ["body", "version"], id="the version"),
        pytest.param('{"id":null}', ["body", "id"], id="the id"),
        pytest.param('{"colour":"red"}', ["body", "colour"], id="an unknown field"),
        pytest.param("[]", ["body"], id="a list"),
        pytest.param("null", ["body"], id="null"),
        pytest.param('"x"', ["body"], id="a string"),
        pytest.param("1", ["body"], id="a number"),
    ],
)
async def test_a_patch_of_another_form_is_refused_and_changes_nothing(
    api: Api, owner: dict[str, Any], body: str, loc: list[str | int]
) -> None:
    document = await make_document(api, owner)
    headers = {**if_match(document), "Content-Type": MERGE_PATCH}
    answer = await api.patch(f"/documents/{document['id']}", content=body, headers=headers)
    expect_problem(answer, 422, "validation", loc)
    assert (await api.get(f"/documents/{document['id']}")).json() == document


@pytest.mark.clause("DOC-3", "GEN-6")
@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"b": "x" * (MEBIBYTE // 2)}, id="larger than 1 MiB together"),
        pytest.param({"o": nested(32)}, id="deeper than 32 levels"),
    ],
)
async def test_the_limits_hold_for_the_merged_content(
    api: Api, owner: dict[str, Any], patch: dict[str, Any]
) -> None:
    document = await make_document(api, owner, content={"a": "x" * (MEBIBYTE // 2), "o": {}})
    path = f"/documents/{document['id']}"
    answer = await api.patch(path, json={"content": patch}, headers=if_match(document))
    expect_problem(answer, 422, "validation")
    assert (await api.get(path)).json() == document


@pytest.mark.clause("DOC-3", "GEN-6")
async def test_a_patch_may_be_large_if_the_merged_content_is_not(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner, content={"a": "x" * (MEBIBYTE - 100)})
    patch = {"content": {"a": None, "b": "y" * (MEBIBYTE - 100)}}
    answer = await api.patch(f"/documents/{document['id']}", json=patch, headers=if_match(document))
    expect_document(answer, version=2, content={"b": "y" * (MEBIBYTE - 100)})


@pytest.mark.clause("DOC-3", "GEN-10")
@pytest.mark.parametrize(
    ("headers", "status", "slug"),
    [
        pytest.param({}, 428, "precondition-required", id="none"),
        pytest.param({"If-Match": '"9"'}, 412, "precondition-failed", id="stale"),
        pytest.param({"If-Match": 'W/"1"'}, 412, "precondition-failed", id="weak"),
    ],
)
@pytest.mark.parametrize("patch", [{"title": "T"}, {}], ids=["a change", "no change"])
async def test_a_patch_without_the_current_etag_changes_nothing(
    api: Api, owner: dict[str, Any], headers: dict[str, str], status: int, slug: str, patch: dict[str, Any]
) -> None:
    document = await make_document(api, owner)
    path = f"/documents/{document['id']}"
    expect_problem(await api.patch(path, json=patch, headers=headers), status, slug)
    assert (await api.get(path)).json() == document


@pytest.mark.clause("DOC-3", "GEN-10")
async def test_a_stale_patch_is_answered_before_the_merged_content_is_judged(
    api: Api, owner: dict[str, Any]
) -> None:
    document = await make_document(api, owner, content={"a": "x" * (MEBIBYTE // 2)})
    patch = {"content": {"b": "x" * (MEBIBYTE // 2)}}
    answer = await api.patch(f"/documents/{document['id']}", json=patch, headers={"If-Match": '"2"'})
    expect_problem(answer, 412, "precondition-failed")


@pytest.mark.clause("DOC-3", "GEN-2")
@pytest.mark.parametrize("headers", [{}, {"If-Match": '"1"'}], ids=["no etag", "an etag"])
async def test_a_patch_of_no_document_gets_404(api: Api, headers: dict[str, str]) -> None:
    expect_problem(
        await api.patch(f"/documents/{NOBODY}", json={"title": "T"}, headers=headers), 404, "not-found"
    )


@pytest.mark.clause("DOC-3", "GEN-4")
async def test_a_bad_patch_of_no_document_gets_422(api: Api) -> None:
    expect_problem(await api.patch(f"/documents/{NOBODY}", json={"title": ""}), 422, "validation")


@pytest.mark.clause("DOC-3", "GEN-10")
async def test_each_change_counts_the_version_up_by_one(api: Api, owner: dict[str, Any]) -> None:
    document = await make_document(api, owner)
    path = f"/documents/{document['id']}"
    second = (await api.patch(path, json={"title": "2"}, headers=if_match(document))).json()
    third = (await api.patch(path, json={"title": "3"}, headers=if_match(second))).json()
    assert [second["version"], third["version"]] == [2, 3]
    assert document["created_at"] <= second["updated_at"] <= third["updated_at"]
