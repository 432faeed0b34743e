"""ETags and conditions (GEN-10), shown on users and documents alike."""

from typing import Any, Final

import pytest
from api import Api
from builders import if_match, make_document, make_user
from expectations import Json, expect_gone, expect_not_modified, expect_problem

KINDS: Final = ["users", "documents"]
CHANGE: Final = {"users": {"name": "changed"}, "documents": {"title": "changed"}}


async def _make(api: Api, kind: str) -> tuple[str, Json]:
    resource = await make_user(api) if kind == "users" else await make_document(api)
    return f"/{kind}/{resource['id']}", resource


async def _change(api: Api, path: str, resource: Json) -> Json:
    """The resource at version 2."""
    change = CHANGE[path.split("/")[1]]
    response = await api.patch(path, json=change, headers=if_match(resource))
    assert response.status_code == 200, response.text
    changed: Json = response.json()
    return changed


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
async def test_the_etag_is_the_quoted_version(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    assert (await api.get(path)).headers["etag"] == '"1"'
    await _change(api, path, resource)
    assert (await api.get(path)).headers["etag"] == '"2"'


@pytest.mark.clause("GEN-10", "USR-3", "DOC-2")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "condition", ['"1"', '"0", "1"', 'W/"1"', "*", '"x","1"', '"9" , W/"1"', '"8","1",'], ids=repr
)
async def test_a_matching_if_none_match_answers_304(api: Api, kind: str, condition: str) -> None:
    path, _ = await _make(api, kind)
    expect_not_modified(await api.get(path, headers={"If-None-Match": condition}), '"1"')
    assert (await api.head(path, headers={"If-None-Match": condition})).status_code == 304


@pytest.mark.clause("GEN-10", "USR-3", "DOC-2")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "condition", ['"2"', '"0"', "1", '"1', "'1'", '"01"', '" 1"', "", '"1.0"', "x"], ids=repr
)
async def test_another_if_none_match_answers_200(api: Api, kind: str, condition: str) -> None:
    path, _ = await _make(api, kind)
    assert (await api.get(path, headers={"If-None-Match": condition})).status_code == 200


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
async def test_if_none_match_on_nothing_is_not_found(api: Api, kind: str) -> None:
    path = f"/{kind}/01890000-0000-7000-8000-000000000000"
    expect_problem(await api.get(path, headers={"If-None-Match": "*"}), 404, "not-found")


@pytest.mark.clause("GEN-10", "USR-4", "DOC-3")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_patch_without_if_match_is_refused(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    expect_problem(await api.patch(path, json=CHANGE[kind]), 428, "precondition-required")
    assert (await api.get(path)).json() == resource


@pytest.mark.clause("GEN-10", "DOC-3")
async def test_a_put_without_if_match_is_refused(api: Api) -> None:
    path, resource = await _make(api, "documents")
    response = await api.put(path, json={"title": "t", "content": {}, "tags": []})
    expect_problem(response, 428, "precondition-required")
    assert (await api.get(path)).json() == resource


REFUSED: Final = {
    "an older version": '"1"',
    "a version to come": '"3"',
    "weak": 'W/"2"',
    "unquoted": "2",
    "half quoted": '"2',
    "with a zero before": '"02"',
    "a list without it": '"1", "3"',
    "weak in a list": '"1", W/"2"',
    "empty": "",
    "beyond 64 bits": '"99999999999999999999"',
    "negative": '"-2"',
    "a float": '"2.0"',
    "other digits": '"٢"',
    "no tag": "latest",
    "star in quotes": '"*"',
    "single quotes": "'2'",
    "blanks and commas without end": ", " * 2_000 + "x",
}


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", REFUSED.values(), ids=REFUSED.keys())
async def test_a_patch_whose_if_match_does_not_match_changes_nothing(
    api: Api, kind: str, condition: str
) -> None:
    path, resource = await _make(api, kind)
    changed = await _change(api, path, resource)
    body: dict[str, Any] = {"name": "lost"} if kind == "users" else {"title": "lost"}
    response = await api.patch(path, json=body, headers={b"If-Match": condition.encode()})
    expect_problem(response, 412, "precondition-failed")
    assert (await api.get(path)).json() == changed


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", ['"2"', '"1", "2"', "*", '"x" ,"2",', 'W/"1", "2"'], ids=repr)
async def test_a_patch_whose_if_match_matches_is_done(api: Api, kind: str, condition: str) -> None:
    path, resource = await _make(api, kind)
    await _change(api, path, resource)
    body: dict[str, Any] = {"name": "third"} if kind == "users" else {"title": "third"}
    response = await api.patch(path, json=body, headers={"If-Match": condition})
    assert (response.status_code, response.headers["etag"]) == (200, '"3"')


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
async def test_an_if_match_header_sent_twice_counts_as_a_list(api: Api, kind: str) -> None:
    path, _ = await _make(api, kind)
    headers = [("If-Match", '"7"'), ("If-Match", '"1"')]
    assert (await api.patch(path, json=CHANGE[kind], headers=headers)).status_code == 200


@pytest.mark.clause("GEN-10", "USR-5", "DOC-4")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_delete_with_a_stale_if_match_changes_nothing(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    changed = await _change(api, path, resource)
    expect_problem(await api.delete(path, headers=if_match(resource)), 412, "precondition-failed")
    assert (await api.get(path)).json() == changed


@pytest.mark.clause("GEN-10", "USR-5", "DOC-4")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_delete_with_the_current_if_match_deletes(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    expect_gone(await api.delete(path, headers=if_match(resource)))
    expect_problem(await api.get(path), 404, "not-found")


@pytest.mark.clause("GEN-10", "USR-5", "DOC-4")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_conditional_delete_of_nothing_is_not_found(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    expect_gone(await api.delete(path))
    expect_problem(await api.delete(path, headers=if_match(resource)), 404, "not-found")
    expect_problem(await api.delete(path, headers={"If-Match": "*"}), 404, "not-found")


@pytest.mark.clause("GEN-10", "USR-4", "DOC-3")
@pytest.mark.parametrize("kind", KINDS)
async def test_an_empty_patch_changes_nothing(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    response = await api.patch(path, json={}, headers=if_match(resource))
    assert (response.status_code, response.json()) == (200, resource)
    assert response.headers["etag"] == '"1"'


@pytest.mark.clause("GEN-10", "USR-4", "DOC-3")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_patch_to_the_same_values_changes_nothing(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    fields = ["email", "name"] if kind == "users" else ["title", "content", "tags"]
    same = {field: resource[field] for field in fields}
    response = await api.patch(path, json=same, headers=if_match(resource))
    assert (response.status_code, response.json()) == (200, resource)
    assert (await api.get(path)).json() == resource


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [{}, "same"], ids=["empty", "same values"])
async def test_a_patch_that_changes_nothing_is_still_conditional(api: Api, kind: str, body: Any) -> None:
    path, resource = await _make(api, kind)
    changed = await _change(api, path, resource)
    sent = CHANGE[kind] if body == "same" else body
    expect_problem(await api.patch(path, json=sent, headers=if_match(resource)), 412, "precondition-failed")
    expect_problem(await api.patch(path, json=sent), 428, "precondition-required")
    assert (await api.get(path)).json() == changed


@pytest.mark.clause("GEN-10")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_grows_the_version_by_one_and_renews_updated_at(api: Api, kind: str) -> None:
    path, resource = await _make(api, kind)
    changed = await _change(api, path, resource)
    assert changed["version"] == 2
    assert changed["created_at"] == resource["created_at"]
    assert changed["updated_at"] >= resource["updated_at"]
    assert (await api.get(path)).json() == changed
