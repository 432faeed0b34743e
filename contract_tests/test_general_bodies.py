"""What a request body and a query may look like (GEN-1, GEN-5, GEN-8)."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
from api import Api
from builders import if_match, make_document, make_user, new_user, unique_email, unique_word
from expectations import expect_document, expect_problem, expect_user

JSON: Final = {"Content-Type": "application/json"}
NOBODY: Final = "01890000-0000-7000-8000-000000000000"
MEBIBYTE: Final = 1024 * 1024


@pytest.mark.clause("GEN-1")
@pytest.mark.parametrize(
    "media_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;q=1"],
)
async def test_json_media_type_is_taken_with_parameters_and_in_any_case(api: Api, media_type: str) -> None:
    body = b'{"email": "%s", "name": "Ada"}' % unique_email().encode()
    expect_user(await api.post("/users", content=body, headers={"Content-Type": media_type}), 201)


@pytest.mark.clause("GEN-1", "GEN-4")
@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/xml",
        "application/merge-patch+json",
        "application/vnd.api+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "",
    ],
)
async def test_another_media_type_is_unsupported(api: Api, media_type: str) -> None:
    body = b'{"email": "%s", "name": "Ada"}' % unique_email().encode()
    response = await api.post("/users", content=body, headers={"Content-Type": media_type})
    expect_problem(response, 415, "unsupported-media-type")


@pytest.mark.clause("GEN-1", "GEN-4")
@pytest.mark.parametrize("media_type", ["text/plain", "multipart/form-data; boundary=x", "text/json"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/users/batch"),
        ("PATCH", f"/users/{NOBODY}"),
        ("POST", "/documents"),
        ("POST", "/documents/batch"),
        ("POST", "/documents/transfer"),
        ("PUT", f"/documents/{NOBODY}"),
        ("PATCH", f"/documents/{NOBODY}"),
    ],
)
async def test_every_route_refuses_another_media_type(
    api: Api, method: str, path: str, media_type: str
) -> None:
    response = await api.request(method, path, content=b"{}", headers={"Content-Type": media_type})
    expect_problem(response, 415, "unsupported-media-type")


@pytest.mark.clause("GEN-1", "GEN-4")
async def test_a_body_without_a_media_type_is_unsupported(api: Api) -> None:
    expect_problem(await api.post("/users", content=b"{}"), 415, "unsupported-media-type")


@pytest.mark.clause("GEN-1", "USR-4")
async def test_merge_patch_is_not_taken_for_users(api: Api) -> None:
    user = await make_user(api)
    headers = {**if_match(user), "Content-Type": "application/merge-patch+json"}
    response = await api.patch(f"/users/{user['id']}", content=b'{"name": "Grace"}', headers=headers)
    expect_problem(response, 415, "unsupported-media-type")


@pytest.mark.clause("GEN-1", "DOC-3")
async def test_merge_patch_is_not_taken_by_put(api: Api) -> None:
    document = await make_document(api)
    headers = {**if_match(document), "Content-Type": "application/merge-patch+json"}
    body = b'{"title": "t", "content": {}, "tags": []}'
    response = await api.put(f"/documents/{document['id']}", content=body, headers=headers)
    expect_problem(response, 415, "unsupported-media-type")


@pytest.mark.clause("GEN-1", "GEN-6", "GEN-4")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" ", id="blank"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"email": "a@b.example",}', id="trailing comma"),
        pytest.param(b"{'email': 1}", id="single quotes"),
        pytest.param(b'{"name": "a"} {}', id="two values"),
        pytest.param(b'{"name": 01}', id="leading zero"),
        pytest.param(b'{"name": "a\nb"}', id="raw control character"),
        pytest.param(b'{"name": "\\x41"}', id="unknown escape"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b'{"name": "\xff\xfe"}', id="not UTF-8"),
        pytest.param(b'{"name": "\xed\xa0\x80"}', id="raw surrogate bytes"),
        pytest.param('{"name": "ä"}'.encode("latin-1"), id="latin-1"),
        pytest.param('{"name": "a"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b"nul", id="a cut word"),
    ],
)
async def test_what_is_no_json_is_malformed(api: Api, body: bytes) -> None:
    expect_problem(await api.post("/users", content=body, headers=JSON), 400, "malformed-json")


@pytest.mark.clause("GEN-1", "GEN-4")
@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
async def test_json_of_another_shape_is_invalid(api: Api, body: str) -> None:
    response = await api.post("/users", content=body.encode(), headers=JSON)
    expect_problem(response, 422, "validation", ["body"])


@pytest.mark.clause("GEN-1")
@pytest.mark.parametrize("field", ["id", "version", "created_at", "Email", "unknown"])
async def test_an_unknown_field_is_invalid(api: Api, field: str) -> None:
    response = await api.post("/users", json=new_user(**{field: 1}))
    expect_problem(response, 422, "validation", ["body", field])


@pytest.mark.clause("GEN-4")
@pytest.mark.parametrize("field", ["a-b", "ä", "<script>", "x" * 65, "a b", ""])
async def test_an_unknown_field_with_an_odd_name_is_not_repeated(api: Api, field: str) -> None:
    response = await api.post("/users", json=new_user(**{field: 1}))
    expect_problem(response, 422, "validation", ["body"])


@pytest.mark.clause("GEN-1")
@pytest.mark.parametrize(
    "path",
    [
        "/users?unknown=1",
        "/users?Limit=1",
        "/users?limit=1&x=",
        "/documents?page=2",
        "/dashboard?days=3",
        f"/users/{NOBODY}?x=1",
        f"/users/{NOBODY}/summary?x=1",
        f"/users/{NOBODY}/documents?x=1",
        f"/documents/{NOBODY}?x=1",
        f"/documents/{NOBODY}/stats?x=1",
    ],
)
async def test_an_unknown_query_parameter_is_invalid(api: Api, path: str) -> None:
    expect_problem(await api.get(path), 422, "validation")


@pytest.mark.clause("GEN-1")
@pytest.mark.parametrize("name", ["limit", "sort", "cursor", "q"])
async def test_a_repeated_single_valued_parameter_is_invalid(api: Api, name: str) -> None:
    response = await api.get(f"/users?{name}=1&{name}=1")
    expect_problem(response, 422, "validation", ["query", name])


@pytest.mark.clause("GEN-1")
@pytest.mark.parametrize("query", ["limit=", "sort=", "cursor=", "limit"])
async def test_an_empty_parameter_is_invalid(api: Api, query: str) -> None:
    response = await api.get(f"/users?{query}")
    expect_problem(response, 422, "validation", ["query", query.rstrip("=")])


@pytest.mark.clause("GEN-1", "DOC-6")
async def test_an_empty_tag_filter_is_invalid(api: Api) -> None:
    expect_problem(await api.get("/documents?tag="), 422, "validation")


@pytest.mark.clause("GEN-1", "GEN-5")
@pytest.mark.parametrize(
    "query", ["q=%FF", "q=%ED%A0%80", "q=%C3", "q=a%00b", "sort=%FF", "%FF=1", "limit=%FF"]
)
async def test_a_query_that_is_no_text_is_invalid(api: Api, query: str) -> None:
    expect_problem(await api.get(f"/users?{query}"), 422, "validation")


@pytest.mark.clause("GEN-5", "USR-1")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("  Ada  ", id="spaces around"),
        pytest.param("\t\n\r", id="only white space"),
        pytest.param("e\u0301", id="decomposed"),
        pytest.param("\u00e9", id="composed"),
        pytest.param("\u202eadA\u202c", id="writing direction"),
        pytest.param("👩‍👩‍👧‍👦", id="joined emoji"),
        pytest.param("\ufeffAda", id="byte order mark inside"),
        pytest.param("a\u0001\u001f\u007fb", id="control characters"),
        pytest.param("\uffff\ufffe\U0010ffff", id="noncharacters"),
        pytest.param("'; DROP TABLE users; --", id="SQL"),
        pytest.param('{"$gt": ""}', id="operator"),
        pytest.param("$name", id="field path"),
        pytest.param("%s %(a)s {0} :a $1 ?", id="placeholders"),
        pytest.param("NULL", id="NULL"),
        pytest.param("\\", id="backslash"),
    ],
)
async def test_text_comes_back_exactly_as_sent(api: Api, name: str) -> None:
    user = await make_user(api, name=name)
    assert user["name"] == name
    expect_user(await api.get(f"/users/{user['id']}"), name=name)


@pytest.mark.clause("GEN-5")
@pytest.mark.parametrize(
    "escape", [r"\u0000", r"a\u0000b", r"\ud800", r"\udc00\ud800", r"\ud83d", r"\ud83dx"]
)
async def test_nul_and_lone_surrogates_are_invalid(api: Api, escape: str) -> None:
    body = f'{{"email": "{unique_email()}", "name": "{escape}"}}'
    response = await api.post("/users", content=body.encode(), headers=JSON)
    expect_problem(response, 422, "validation")


@pytest.mark.clause("GEN-5")
async def test_a_surrogate_pair_is_one_character(api: Api) -> None:
    body = f'{{"email": "{unique_email()}", "name": "\\ud83d\\ude00"}}'
    expect_user(await api.post("/users", content=body.encode(), headers=JSON), 201, name="😀")


@pytest.mark.clause("GEN-6")
async def test_of_a_repeated_key_the_last_counts(api: Api) -> None:
    body = f'{{"name": "first", "email": "{unique_email()}", "name": "last"}}'
    expect_user(await api.post("/users", content=body.encode(), headers=JSON), 201, name="last")


@pytest.mark.clause("GEN-5", "GEN-4")
@pytest.mark.parametrize(
    "secret", ["correct-horse", "pass-\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]
)
async def test_an_error_does_not_repeat_the_input(api: Api, secret: str) -> None:
    secret = f"{secret}-{unique_word()}"
    response = await api.post("/users", json={"email": secret, "name": [secret]})
    expect_problem(response, 422, "validation")
    assert secret not in response.text


@pytest.mark.clause("GEN-8", "GEN-4")
async def test_a_body_over_16_mebibytes_is_too_large(api: Api) -> None:
    body = b'{"name": "' + b"a" * (16 * MEBIBYTE) + b'"}'
    expect_problem(await api.post("/users", content=body, headers=JSON), 413, "payload-too-large")


@pytest.mark.clause("GEN-8")
async def test_a_body_of_exactly_16_mebibytes_is_read(api: Api) -> None:
    body = b'{"name": "' + b"a" * (16 * MEBIBYTE - len(b'{"name": ""}')) + b'"}'
    expect_problem(await api.post("/users", content=body, headers=JSON), 422, "validation")


@pytest.mark.clause("GEN-8")
async def test_an_announced_length_over_16_mebibytes_is_refused_before_it_is_sent(api: Api) -> None:
    if api.prefix:
        pytest.skip("a gateway may wait for the beginning of a body before it passes a request on")
    head = f"Content-Type: application/json\r\nContent-Length: {16 * MEBIBYTE + 1}\r\n\r\n"
    answer = await api.raw("POST", "/users", head.encode())
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"/problems/payload-too-large" in answer.body


@pytest.mark.clause("GEN-8", "GEN-4")
async def test_a_chunked_body_over_16_mebibytes_is_too_large(api: Api) -> None:
    response = await api.post("/users", content=_chunks(17), headers=JSON)
    expect_problem(response, 413, "payload-too-large")


@pytest.mark.clause("GEN-6", "GEN-4")
@pytest.mark.parametrize(
    ("member", "status"),
    [
        (r'"\ud800"', 422),
        ("9" * 4_301, 422),
        ("[" * 300 + "]" * 300, 422),
        ("01", 400),
        ("[}", 400),
        ("", 400),
    ],
)
async def test_a_dense_large_body_is_refused_for_what_a_small_one_is(
    api: Api, member: str, status: int
) -> None:
    body = "[" + "[]," * 200_000 + member + "]"
    response = await api.post("/users/batch", content=body.encode(), headers=JSON)
    expect_problem(response, status, "validation" if status == 422 else "malformed-json")


@pytest.mark.clause("GEN-1")
async def test_a_document_body_with_an_unknown_field_is_invalid(api: Api) -> None:
    user = await make_user(api)
    body = {"owner_id": user["id"], "title": "t", "contents": {}}
    expect_problem(await api.post("/documents", json=body), 422, "validation", ["body", "contents"])


@pytest.mark.clause("GEN-1")
async def test_answers_are_json(api: Api) -> None:
    response = await api.get("/users?limit=1")
    assert response.headers["content-type"].partition(";")[0] == "application/json"
    document = await make_document(api)
    expect_document(await api.get(f"/documents/{document['id']}"))


async def _chunks(mebibytes: int) -> AsyncIterator[bytes]:
    for _ in range(mebibytes):
        yield b" " * MEBIBYTE
