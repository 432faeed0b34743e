"""Errors that no row decides, the order of checks, ids, request ids (GEN-2, 4, 7, 12)."""

import re
from typing import Any, Final

import pytest
from api import Api
from builders import make_document, make_user, new_user, unique_word
from expectations import check_id, expect_problem, expect_user

NOBODY: Final = "01890000-0000-7000-8000-000000000000"
JSON: Final = {"Content-Type": "application/json"}


@pytest.mark.clause("GEN-4")
@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/users/", "/Users", f"/users/{NOBODY}/", f"/users/{NOBODY}/x", "//users", "/users%2F"],
)
async def test_a_path_that_is_no_route_is_not_found(api: Api, path: str) -> None:
    if path.startswith("//") and api.prefix:
        pytest.skip("gateways make one slash of two before they choose a service")
    expect_problem(await api.get(f"{api.url}{path}"), 404, "not-found")


@pytest.mark.clause("GEN-12", "GEN-4")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/users", {"GET", "HEAD", "POST"}),
        ("PUT", "/users", {"GET", "HEAD", "POST"}),
        ("PUT", f"/users/{NOBODY}", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("POST", f"/users/{NOBODY}", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("GET", "/users/batch", {"POST"}),
        ("HEAD", "/users/batch", {"POST"}),
        ("DELETE", "/users/batch", {"POST"}),
        ("POST", f"/users/{NOBODY}/summary", {"GET", "HEAD"}),
        ("POST", f"/users/{NOBODY}/documents", {"GET", "HEAD"}),
        ("PATCH", "/documents", {"GET", "HEAD", "POST"}),
        ("POST", f"/documents/{NOBODY}", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("GET", "/documents/batch", {"POST"}),
        ("GET", "/documents/transfer", {"POST"}),
        ("POST", f"/documents/{NOBODY}/stats", {"GET", "HEAD"}),
        ("POST", "/dashboard", {"GET", "HEAD"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("DELETE", "/info", {"GET", "HEAD"}),
        ("PROPFIND", "/users", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/users", {"GET", "HEAD", "POST"}),
    ],
)
async def test_an_unsupported_method_is_refused_with_those_allowed(
    api: Api, method: str, path: str, allowed: set[str]
) -> None:
    response = await api.request(method, path)
    assert set(re.split(r", *", response.headers["allow"])) == allowed
    assert response.status_code == 405


@pytest.mark.clause("GEN-12", "GEN-4")
async def test_the_refusal_of_a_method_is_a_problem(api: Api) -> None:
    expect_problem(await api.delete("/users"), 405, "method-not-allowed")


@pytest.mark.clause("GEN-12")
@pytest.mark.parametrize(
    "path", ["/users", "/documents", "/dashboard", "/livez", "/readyz", "/info", "/openapi.json"]
)
async def test_head_answers_as_get_without_a_body(api: Api, path: str) -> None:
    head, get = await api.head(path), await api.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.clause("GEN-12", "GEN-10")
async def test_head_of_resources_answers_as_get_without_a_body(api: Api) -> None:
    document = await make_document(api)
    head, get = await api.head(f"/documents/{document['id']}"), await api.get(f"/documents/{document['id']}")
    assert (head.status_code, head.headers["etag"]) == (200, get.headers["etag"])
    assert head.headers.get("content-length", "0") in ("0", get.headers["content-length"])


@pytest.mark.clause("GEN-12", "GEN-2")
@pytest.mark.parametrize("path", ["/users", "/documents"])
async def test_head_answers_errors_as_get_does(api: Api, path: str) -> None:
    assert (await api.head(f"{path}/{NOBODY}")).status_code == 404
    assert (await api.head(f"{path}/x")).status_code == 422
    assert (await api.head(f"{path}?limit=0")).status_code == 422


@pytest.mark.clause("GEN-2")
@pytest.mark.parametrize(
    "path", ["/users/{}", "/users/{}/summary", "/users/{}/documents", "/documents/{}", "/documents/{}/stats"]
)
async def test_a_well_formed_id_that_names_nothing_is_not_found(api: Api, path: str) -> None:
    expect_problem(await api.get(path.format(NOBODY)), 404, "not-found")


@pytest.mark.clause("GEN-2")
@pytest.mark.parametrize(
    "identifier",
    [
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
async def test_ids_of_any_version_are_well_formed(api: Api, identifier: str) -> None:
    expect_problem(await api.get(f"/users/{identifier}"), 404, "not-found")
    expect_problem(await api.get(f"/documents/{identifier}"), 404, "not-found")


MALFORMED: Final = {
    "word": "x",
    "number": "1",
    "upper case": NOBODY.replace("0189", "018A"),
    "without hyphens": NOBODY.replace("-", ""),
    "in braces": f"%7B{NOBODY}%7D",
    "as a URN": f"urn:uuid:{NOBODY}",
    "one digit short": NOBODY[:-1],
    "one digit long": f"{NOBODY}0",
    "no hex digit": NOBODY[:-1] + "g",
    "space behind": f"{NOBODY}%20",
    "line end behind": f"{NOBODY}%0A",
    "hyphens elsewhere": "0189000-00000-7000-8000-000000000000",
    "NUL": f"{NOBODY[:-3]}%00",
    "other digits": NOBODY[:-1] + "%D9%A0",
    "not UTF-8": f"{NOBODY[:-1]}%FF",
    "ObjectId": "507f1f77bcf86cd799439011",
}


WITH_ID: Final = [
    ("GET", "/users/{}", {}),
    ("PATCH", "/users/{}", {"json": {}}),
    ("DELETE", "/users/{}", {}),
    ("GET", "/users/{}/summary", {}),
    ("GET", "/users/{}/documents", {}),
    ("GET", "/documents/{}", {}),
    ("PUT", "/documents/{}", {"json": {"title": "t", "content": {}, "tags": []}}),
    ("DELETE", "/documents/{}", {}),
    ("GET", "/documents/{}/stats", {}),
]


@pytest.mark.clause("GEN-2")
@pytest.mark.parametrize("identifier", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("route", WITH_ID, ids=lambda route: f"{route[0]} {route[1]}")
async def test_a_malformed_id_is_invalid(
    api: Api, route: tuple[str, str, dict[str, Any]], identifier: str
) -> None:
    method, path, options = route
    response = await api.request(method, path.format(identifier), **options)
    expect_problem(response, 422, "validation")


@pytest.mark.clause("GEN-2", "GEN-3", "USR-1")
async def test_ids_and_times_are_made_by_the_service(api: Api) -> None:
    first, second = await make_user(api), await make_user(api)
    check_id(first["id"])
    assert first["id"] < second["id"]
    assert first["created_at"] == first["updated_at"] <= second["created_at"]


@pytest.mark.clause("GEN-3")
async def test_a_time_is_read_back_as_it_was_answered(api: Api) -> None:
    user = await make_user(api)
    expect_user(
        await api.get(f"/users/{user['id']}"), created_at=user["created_at"], updated_at=user["updated_at"]
    )


@pytest.mark.clause("GEN-4")
async def test_every_field_at_fault_is_named(api: Api) -> None:
    problem = expect_problem(await api.post("/users", json={"email": 1, "name": ""}), 422, "validation")
    assert {tuple(error["loc"]) for error in problem["errors"]} == {("body", "email"), ("body", "name")}


MANY: Final = {
    "unknown fields": {
        "email": "a@b.example",
        "name": "Ada",
        **{f"f{number}": 1 for number in range(40_000)},
    },
    "tags": {"owner_id": NOBODY, "title": "t", "tags": [1] * 200_000},
    "items": [{"email": 1, "name": 2, "a": 3} for _ in range(1_000)],
    "fields of items": [{f"f{number}": 1 for number in range(500)} for _ in range(1_000)],
}
PLACES: Final = {"tags": "/documents", "unknown fields": "/users"}


@pytest.mark.clause("GEN-4", "GEN-8")
@pytest.mark.parametrize("what", MANY)
async def test_of_a_body_that_is_wrong_in_many_places_some_are_told(api: Api, what: str) -> None:
    answer = await api.post(PLACES.get(what, "/users/batch"), json=MANY[what])
    assert 1 <= len(expect_problem(answer, 422, "validation")["errors"]) <= 100
    assert len(answer.content) < 100_000


@pytest.mark.clause("GEN-4")
async def test_a_missing_field_is_named(api: Api) -> None:
    response = await api.post("/users", json={"name": "Ada"})
    expect_problem(response, 422, "validation", ["body", "email"])


ORDER: Final[dict[str, tuple[str, str, dict[str, Any], int, str]]] = {
    "404 route before 405": ("DELETE", "/nothing", {}, 404, "not-found"),
    "405 before 415": ("PUT", "/users", {"content": b"x"}, 405, "method-not-allowed"),
    "405 before 422": ("PUT", "/users/x", {"content": b"x"}, 405, "method-not-allowed"),
    "415 before 400": ("POST", "/users", {"content": b"{"}, 415, "unsupported-media-type"),
    "415 before 422": ("PATCH", "/users/x", {"content": b"{}"}, 415, "unsupported-media-type"),
    "400 before 422": ("PATCH", "/users/x", {"content": b"{", "headers": JSON}, 400, "malformed-json"),
    "400 before 422 in the query": (
        "POST",
        "/users?x=1",
        {"content": b"{", "headers": JSON},
        400,
        "malformed-json",
    ),
    "422 before 404": ("PATCH", f"/users/{NOBODY}", {"json": {"name": ""}}, 422, "validation"),
    "404 before 428": ("PATCH", f"/users/{NOBODY}", {"json": {"name": "a"}}, 404, "not-found"),
    "404 before 412": (
        "PATCH",
        f"/users/{NOBODY}",
        {"json": {"name": "a"}, "headers": {"If-Match": '"9"'}},
        404,
        "not-found",
    ),
}


@pytest.mark.clause("GEN-4")
@pytest.mark.parametrize("case", ORDER.values(), ids=ORDER.keys())
async def test_checks_come_in_their_order(api: Api, case: tuple[str, str, dict[str, Any], int, str]) -> None:
    method, path, options, status, slug = case
    expect_problem(await api.request(method, path, **options), status, slug)


@pytest.mark.clause("GEN-4", "GEN-8")
async def test_too_large_comes_before_the_media_type(api: Api) -> None:
    response = await api.post("/users", content=b"x" * (16 * 1024 * 1024 + 1))
    expect_problem(response, 413, "payload-too-large")


@pytest.mark.clause("GEN-4", "GEN-10")
async def test_a_missing_condition_comes_before_a_taken_email(api: Api) -> None:
    taken, user = await make_user(api), await make_user(api)
    response = await api.patch(f"/users/{user['id']}", json={"email": taken["email"]})
    expect_problem(response, 428, "precondition-required")


@pytest.mark.clause("GEN-4", "GEN-10")
async def test_a_stale_version_comes_before_a_taken_email(api: Api) -> None:
    taken, user = await make_user(api), await make_user(api)
    response = await api.patch(
        f"/users/{user['id']}", json={"email": taken["email"]}, headers={"If-Match": '"7"'}
    )
    expect_problem(response, 412, "precondition-failed")


@pytest.mark.clause("GEN-4", "GEN-10")
async def test_an_invalid_body_comes_before_a_missing_condition(api: Api) -> None:
    user = await make_user(api)
    expect_problem(await api.patch(f"/users/{user['id']}", json={"x": 1}), 422, "validation", ["body", "x"])


@pytest.mark.clause("GEN-7")
@pytest.mark.parametrize("sent", ["a", "A-z_0.9", "x" * 128, "0"])
@pytest.mark.parametrize("path", ["/livez", "/users?limit=1", "/nothing", "/users/x", "/users?limit=0"])
async def test_a_good_request_id_is_kept(api: Api, path: str, sent: str) -> None:
    response = await api.get(path, headers={"X-Request-ID": sent})
    assert response.headers["x-request-id"] == sent


@pytest.mark.clause("GEN-7")
@pytest.mark.parametrize("sent", ["", "x" * 129, "a b", "a/b", "ä".encode(), "a;b", '"'])
async def test_a_bad_request_id_is_replaced_by_a_new_uuid(api: Api, sent: str | bytes) -> None:
    response = await api.get(
        "/livez", headers=[(b"X-Request-ID", sent if isinstance(sent, bytes) else sent.encode())]
    )
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["x-request-id"])


@pytest.mark.clause("GEN-7")
async def test_every_request_gets_an_id_of_its_own(api: Api) -> None:
    first, second = await api.get("/livez"), await api.get("/livez")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.clause("GEN-4", "GEN-7")
async def test_a_race_of_refusals_keeps_each_request_id(api: Api) -> None:
    sent = unique_word("request")
    response = await api.post("/users", json=new_user(email="no address"), headers={"X-Request-ID": sent})
    expect_problem(response, 422, "validation", ["body", "email"])
    assert response.headers["x-request-id"] == sent
