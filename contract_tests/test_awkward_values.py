"""Every row of the table of awkward values, sent to a service (GEN-4, GEN-5, GEN-6, GEN-14)."""

import secrets
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import quote

import httpx2
import pytest
from api import Api
from awkward_cases import KEPT_NUMBERS
from awkward_values import QUERIES, ROWS, Kept, Place, Query, Refused, Row
from builders import make_document, make_user, unique_word
from expectations import expect_page, expect_problem, same_json

KEPT = [row for row in ROWS if isinstance(row.outcome, Kept)]
REFUSED = [row for row in ROWS if isinstance(row.outcome, Refused)]
REFUSED_BODIES = [row for row in REFUSED if row.place is Place.BODY]
REFUSED_MEMBERS = [row for row in REFUSED if row.place is not Place.BODY]
# how large and how deep a content is, a merge patch decides together with the stored one
DECIDED_BY_THEMSELVES = [row for row in REFUSED_MEMBERS if row.place is not Place.CONTENT]
SCALARS = [row for row in KEPT if row.place is Place.MEMBER]
TAGS = [row for row in KEPT if row.place is Place.TAG]
NAMES = [row for row in KEPT if row.place is Place.NAME]
KEPT_QUERIES = [query for query in QUERIES if isinstance(query.outcome, Kept)]
REFUSED_QUERIES = [query for query in QUERIES if isinstance(query.outcome, Refused)]
NOBODY: Final = "0197f000-0000-7000-8000-000000000000"
JSON: Final = {"Content-Type": "application/json"}
ANY: Final = {**JSON, "If-Match": "*"}


def pointed(resource: dict[str, Any], row: Row) -> Any:
    """What the resource holds in the row's place."""
    found: Any = resource
    for step in row.place.pointer:
        found = found[step]
    return found


def fresh_letters() -> str:
    """16 letters and digits for `<unique>`."""
    return secrets.token_hex(8)


def refused(answer: httpx2.Response, row: Row) -> None:
    """The answer is the row's problem, and does not repeat what was sent."""
    assert isinstance(row.outcome, Refused)
    problem = expect_problem(answer, row.outcome.status, row.outcome.slug)
    assert all("input" not in error for error in problem.get("errors", []))
    assert len(answer.content) < 4096, "GEN-6: the answer repeats the input"


@pytest.fixture(scope="module")
async def owner(api: Api) -> str:
    """The id of a user whose documents no test counts."""
    return str((await make_user(api))["id"])


@pytest.fixture(scope="module")
async def victims(api: Api) -> AsyncIterator[dict[str, dict[str, Any]]]:
    """A user and a document that refused changes are tried on, by collection; none may change them."""
    user = await make_user(api)
    document = await make_document(api, user, content={"v": {"old": 1}})
    yield {"/users": user, "/documents": document}
    assert (await api.get(f"/users/{user['id']}")).json() == user
    assert (await api.get(f"/documents/{document['id']}")).json() == document


@pytest.mark.clause("GEN-5", "GEN-6", "GEN-14", "USR-1", "DOC-1")
@pytest.mark.parametrize("row", KEPT, ids=str)
async def test_an_accepted_value_reads_back_as_the_table_says(api: Api, owner: str, row: Row) -> None:
    unique = fresh_letters()
    created = await api.post(row.place.path, content=row.body(owner, unique), headers=JSON)
    assert created.status_code == 201, created.text[:500]
    read = await api.get(str(created.url.join(created.headers["location"])))
    assert same_json(pointed(created.json(), row), row.read_back(unique))
    assert same_json(pointed(read.json(), row), row.read_back(unique))


@pytest.mark.clause("GEN-4", "GEN-5", "GEN-6", "GEN-14", "USR-1", "USR-4", "USR-6", "DOC-1", "DOC-3", "DOC-5")
@pytest.mark.parametrize("row", REFUSED_MEMBERS, ids=str)
async def test_a_refused_value_gets_its_problem_from_create_batch_and_patch_alike(
    api: Api, owner: str, victims: dict[str, dict[str, Any]], row: Row
) -> None:
    path = row.place.path
    body, patch = row.body(owner, fresh_letters()), row.patch(fresh_letters())
    refused(await api.post(path, content=body, headers=JSON), row)
    refused(await api.post(f"{path}/batch", content=b"[" + body + b"]", headers=JSON), row)
    refused(await api.patch(f"{path}/{victims[path]['id']}", content=patch, headers=ANY), row)


@pytest.mark.clause("GEN-2", "GEN-4", "GEN-10", "GEN-14", "USR-4", "DOC-3")
@pytest.mark.parametrize("row", DECIDED_BY_THEMSELVES, ids=str)
async def test_a_refused_value_is_refused_before_the_row_and_its_etag_are_looked_at(
    api: Api, row: Row
) -> None:
    path = f"{row.place.path}/{NOBODY}"
    refused(await api.patch(path, content=row.patch(fresh_letters()), headers=JSON), row)


@pytest.mark.clause("GEN-1", "GEN-4", "GEN-6", "GEN-14")
@pytest.mark.parametrize(
    "method", ["POST /documents", "POST /users", "POST /documents/batch", "PATCH /users/{id}"]
)
@pytest.mark.parametrize("row", REFUSED_BODIES, ids=str)
async def test_a_body_that_is_no_json_gets_its_problem_everywhere(api: Api, method: str, row: Row) -> None:
    verb, path = method.split()
    path = path.format(id=NOBODY)
    refused(await api.request(verb, path, content=row.sent, headers=ANY), row)


@pytest.mark.clause("GEN-6", "GEN-14", "DOC-3")
@pytest.mark.parametrize("row", [row for row in SCALARS if row.case in KEPT_NUMBERS], ids=str)
async def test_an_accepted_number_reads_back_after_a_merge_patch(api: Api, owner: str, row: Row) -> None:
    document = await make_document(api, {"id": owner}, content={"v": {"old": 1}})
    path = f"/documents/{document['id']}"
    body = b'{"content":{"v":' + row.sent + b"}}"
    patched = await api.patch(path, content=body, headers=ANY)
    assert patched.status_code == 200, patched.text[:500]
    assert same_json((await api.get(path)).json()["content"], {"v": row.read_back("")})


@pytest.fixture(scope="module")
async def collection(api: Api) -> dict[str, Any]:
    """The owner of a document for each accepted content value, titled by its case."""
    user = await make_user(api)
    documents = [
        b'{"owner_id":"%s","title":"%s","content":{"v":%s}}'
        % (user["id"].encode(), row.case.encode(), row.sent)
        for row in SCALARS
    ]
    answer = await api.post("/documents/batch", content=b"[" + b",".join(documents) + b"]", headers=JSON)
    assert answer.status_code == 201
    return user


@pytest.mark.clause("GEN-6", "GEN-14", "DOC-6")
@pytest.mark.parametrize("row", SCALARS, ids=str)
async def test_an_accepted_value_is_found_by_the_text_that_was_sent(
    api: Api, collection: dict[str, Any], row: Row
) -> None:
    query = f"owner_id={collection['id']}&where=v:eq:{quote(row.sent, safe='')}"
    found, _ = expect_page(await api.get(f"/documents?{query}"))
    equals = {other.case for other in SCALARS if same_json(other.read_back(""), row.read_back(""))}
    assert {item["title"] for item in found} == equals


@pytest.mark.clause("GEN-5", "GEN-14", "DOC-6")
@pytest.mark.parametrize("row", TAGS, ids=str)
async def test_an_accepted_tag_is_found_by_exactly_its_text(api: Api, row: Row) -> None:
    document = await make_document(api, tags=["other", row.read_back("")])
    query = f"owner_id={document['owner_id']}&tag={quote(str(row.read_back('')), safe='')}"
    found, _ = expect_page(await api.get(f"/documents?{query}"))
    assert found == [document]


@pytest.mark.clause("GEN-5", "GEN-14", "USR-7")
@pytest.mark.parametrize("row", NAMES, ids=str)
async def test_an_accepted_name_is_found_by_q_as_plain_text(api: Api, row: Row) -> None:
    name = f"{unique_word()}{row.read_back('')}"
    user = await make_user(api, name=name[:200])
    found, _ = expect_page(await api.get(f"/users?q={quote(name[:200], safe='')}"))
    assert found == [user]


@pytest.mark.clause("GEN-4", "GEN-14", "GEN-1", "DOC-6")
@pytest.mark.parametrize("query", REFUSED_QUERIES, ids=str)
async def test_an_awkward_query_gets_the_problem_of_the_table(api: Api, query: Query) -> None:
    assert isinstance(query.outcome, Refused)
    answer = await api.get(f"/documents?{query.query}")
    expect_problem(answer, query.outcome.status, query.outcome.slug)


UNDER_A_USER = [query for query in REFUSED_QUERIES if not query.query.startswith("owner_id")]


@pytest.mark.clause("GEN-2", "GEN-4", "GEN-14", "USR-9")
@pytest.mark.parametrize("query", UNDER_A_USER, ids=str)
async def test_an_awkward_query_under_a_user_is_refused_before_the_user_is_looked_for(
    api: Api, query: Query
) -> None:
    assert isinstance(query.outcome, Refused)
    answer = await api.get(f"/users/{NOBODY}/documents?{query.query}")
    expect_problem(answer, query.outcome.status, query.outcome.slug)


@pytest.mark.clause("GEN-14", "DOC-6")
@pytest.mark.parametrize("query", KEPT_QUERIES, ids=str)
async def test_an_awkward_query_that_is_accepted_finds_the_value_that_it_means(
    api: Api, query: Query
) -> None:
    assert isinstance(query.outcome, Kept)
    document = await make_document(api, content={"v": query.outcome.value})
    found, _ = expect_page(await api.get(f"/documents?owner_id={document['owner_id']}&{query.query}"))
    assert [item["id"] for item in found] == [document["id"]]


@pytest.mark.clause("GEN-6")
@pytest.mark.parametrize(
    ("sent", "read"),
    [("1.0", "1"), ("-0.0", "0"), ("1E2", "100"), ("1e16", "10000000000000000"), ("1.5", "1.5")],
)
async def test_a_float_with_an_integral_value_is_stored_as_that_integer(
    api: Api, owner: str, sent: str, read: str
) -> None:
    body = b'{"owner_id":"%s","title":"t","content":{"v":%s}}' % (owner.encode(), sent.encode())
    created = await api.post("/documents", content=body, headers=JSON)
    text = (await api.get(str(created.url.join(created.headers["location"])))).text
    assert f'"content":{{"v":{read}}}' in text.replace(" ", "")
