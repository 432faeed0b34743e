"""What every described route refuses alike: other methods, unknown parameters, malformed and unknown ids,
bodies of no or another type (GEN-1, GEN-2, GEN-12)."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from api import Api
from expectations import expect_problem

NOBODY: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON: Final = {"Content-Type": "application/json"}

_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def operations(api: Api, *methods: str) -> Iterator[tuple[str, str]]:
    """Method and path template of what the service describes."""
    for path, item in api.described["paths"].items():
        yield from ((method, path) for method in methods if method.lower() in item)


def filled(path: str, value: str = NOBODY) -> str:
    return _PARAMETER.sub(value, path)


@pytest.mark.clause("GEN-12")
async def test_other_methods_are_refused_with_those_that_are_allowed(api: Api) -> None:
    for path in api.described["paths"]:
        allowed = {method for method, known in operations(api, *METHODS) if known == path}
        for method in set(METHODS) - allowed:
            answer = await api.request(method, filled(path))
            expect_problem(answer, 405, "method-not-allowed")
            named = set(answer.headers["allow"].split(", "))
            assert named - {"HEAD"} == allowed, (path, named)
            assert ("HEAD" in named) == ("GET" in allowed and path != "/events"), (path, named)


@pytest.mark.clause("GEN-1")
async def test_an_unknown_query_parameter_is_refused(api: Api) -> None:
    for method, path in operations(api, "GET", "DELETE"):
        answer = await api.request(method, filled(path), params={"nonsense": "1"})
        expect_problem(answer, 422, "validation", ["query", "nonsense"])


@pytest.mark.clause("GEN-2")
@pytest.mark.parametrize("value", ["x", NOBODY.upper(), f"{NOBODY}0", "%00"])
async def test_a_malformed_id_is_refused_by_its_name(api: Api, value: str) -> None:
    for method, path in operations(api, "GET", "DELETE"):
        for name in _PARAMETER.findall(path):
            answer = await api.request(method, filled(path, value))
            expect_problem(answer, 422, "validation", ["path", name])


@pytest.mark.clause("GEN-2")
async def test_an_id_that_names_nothing_is_not_found(api: Api) -> None:
    for method, path in operations(api, "GET", "DELETE"):
        if _PARAMETER.search(path):
            expect_problem(await api.request(method, filled(path)), 404, "not-found")


@pytest.mark.clause("GEN-2")
async def test_a_trailing_slash_is_another_route(api: Api) -> None:
    for path in api.described["paths"]:
        expect_problem(await api.get(f"{filled(path)}/"), 404, "not-found")


@pytest.mark.clause("GEN-1")
@pytest.mark.parametrize("media_type", [None, "text/plain", "application/xml"])
async def test_a_body_of_no_or_another_type_is_unsupported(api: Api, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    for method, path in operations(api, "POST", "PUT", "PATCH"):
        answer = await api.request(method, filled(path), content=b"{}", headers=headers)
        expect_problem(answer, 415, "unsupported-media-type")


@pytest.mark.clause("GEN-1", "GEN-6")
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{'a': 1}"])
async def test_a_body_that_is_no_json_is_malformed(api: Api, body: bytes) -> None:
    for method, path in operations(api, "POST", "PUT", "PATCH"):
        if not path.endswith("/attachments"):
            answer = await api.request(method, filled(path), content=body, headers=JSON)
            expect_problem(answer, 400, "malformed-json")
