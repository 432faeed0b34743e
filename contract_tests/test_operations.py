"""Running a service: probes, description, timings (OPS-1, 2, 6, GEN-7)."""

import re
from typing import Any, Final

import pytest
from api import Api
from builders import if_match, make_document, make_user
from expectations import expect_problem, least_round_trips, round_trips
from targets import Target

PATHS: Final = [
    "/users",
    "/users/x",
    "/users/01890000-0000-7000-8000-000000000000",
    "/documents?limit=1",
    "/dashboard",
    "/livez",
    "/info",
    "/nothing",
    "/users?limit=0",
]


@pytest.mark.clause("OPS-1")
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_service_with_its_database_is_live_and_ready(api: Api, path: str) -> None:
    assert (await api.get(path)).status_code == 200


@pytest.mark.clause("OPS-2")
async def test_info_tells_backend_layer_database_and_contract(api: Api) -> None:
    response = await api.get("/info")
    info = response.json()
    assert (response.status_code, set(info)) == (200, {"backend", "layer", "database", "contract"})
    assert all(isinstance(info[part], str) and info[part] for part in ("backend", "contract"))
    assert all(set(info[part]) == {"name", "version"} for part in ("layer", "database"))
    assert all(re.match(r"\d+\.\d+", info[part]["version"]) for part in ("layer", "database"))


@pytest.mark.clause("OPS-2")
async def test_info_names_the_backend_that_was_asked_for(api: Api, target: Target) -> None:
    info = (await api.get("/info")).json()
    assert target.service is None or info["backend"] == target.name


@pytest.mark.clause("OPS-2", "GEN-1")
@pytest.mark.parametrize("path", ["/info", "/livez", "/readyz"])
async def test_an_unknown_parameter_is_invalid_here_too(api: Api, path: str) -> None:
    expect_problem(await api.get(f"{path}?x=1"), 422, "validation")


DESCRIBED: Final[dict[str, tuple[str, str, set[str]]]] = {
    "create a user": ("post", "/users", {"201", "400", "409", "413", "415", "422"}),
    "list users": ("get", "/users", {"200", "422"}),
    "create users": ("post", "/users/batch", {"201", "400", "409", "413", "415", "422"}),
    "read a user": ("get", "/users/{id}", {"200", "304", "404", "422"}),
    "patch a user": (
        "patch",
        "/users/{id}",
        {"200", "400", "404", "409", "412", "413", "415", "422", "428"},
    ),
    "delete a user": ("delete", "/users/{id}", {"204", "404", "412", "422"}),
    "summarise a user": ("get", "/users/{id}/summary", {"200", "404", "422"}),
    "list a user's documents": ("get", "/users/{id}/documents", {"200", "404", "422"}),
    "create a document": ("post", "/documents", {"201", "400", "413", "415", "422"}),
    "list documents": ("get", "/documents", {"200", "422"}),
    "create documents": ("post", "/documents/batch", {"201", "400", "413", "415", "422"}),
    "transfer documents": ("post", "/documents/transfer", {"200", "400", "409", "413", "415", "422"}),
    "read a document": ("get", "/documents/{id}", {"200", "304", "404", "422"}),
    "put a document": ("put", "/documents/{id}", {"200", "400", "404", "412", "413", "415", "422", "428"}),
    "patch a document": (
        "patch",
        "/documents/{id}",
        {"200", "400", "404", "412", "413", "415", "422", "428"},
    ),
    "delete a document": ("delete", "/documents/{id}", {"204", "404", "412", "422"}),
    "statistics": ("get", "/documents/{id}/stats", {"200", "404", "422"}),
    "dashboard": ("get", "/dashboard", {"200", "422"}),
    "export users": ("get", "/users/export", {"200", "422", "503", "504"}),
    "export documents": ("get", "/documents/export", {"200", "422", "503", "504"}),
    "overview": ("get", "/reports/overview", {"200", "422", "503", "504"}),
    "take an action": ("post", "/users/{id}/actions", {"202", "400", "404", "413", "415", "422", "503"}),
    "list activity": ("get", "/users/{id}/activity", {"200", "404", "422"}),
    "notify a user": (
        "post",
        "/users/{id}/notifications",
        {"202", "400", "404", "409", "413", "415", "422", "503"},
    ),
    "list notifications": ("get", "/users/{id}/notifications", {"200", "404", "422"}),
    "metrics": ("get", "/metrics", {"200", "401", "403", "422"}),
    "live": ("get", "/livez", {"200"}),
    "ready": ("get", "/readyz", {"200", "503"}),
    "info": ("get", "/info", {"200"}),
}


@pytest.mark.clause("OPS-6")
@pytest.mark.parametrize("case", DESCRIBED.values(), ids=DESCRIBED.keys())
async def test_the_description_names_the_answers_of_the_contract(
    api: Api, case: tuple[str, str, set[str]]
) -> None:
    method, path, statuses = case
    described = {
        re.sub(r"\{\w+\}", "{id}", template): item for template, item in api.described["paths"].items()
    }
    assert statuses <= set(described[path][method]["responses"])


@pytest.mark.clause("OPS-6", "GEN-4", "GEN-8")
@pytest.mark.parametrize("path", ["/users", "/documents", "/dashboard"])
@pytest.mark.parametrize("status", ["503", "504"])
async def test_the_description_names_what_the_database_can_cause(api: Api, path: str, status: str) -> None:
    answer: dict[str, Any] = api.described["paths"][path]["get"]["responses"][status]
    assert set(answer["content"]) == {"application/problem+json"}


@pytest.mark.last
@pytest.mark.clause("OPS-6")
async def test_every_answer_of_this_run_fits_the_description(api: Api) -> None:
    assert list(api.misfits) == []


@pytest.mark.clause("GEN-7")
@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_tells_its_timing(api: Api, path: str) -> None:
    assert round_trips(await api.get(path)) >= 0


@pytest.mark.clause("GEN-7")
@pytest.mark.parametrize("path", ["/users/x", "/nothing", "/livez", "/users?limit=0"])
async def test_an_answer_without_the_database_counts_no_round_trip(api: Api, path: str) -> None:
    assert await least_round_trips(lambda: api.get(path)) == 0


@pytest.mark.clause("GEN-7")
async def test_reading_one_row_takes_one_round_trip(api: Api) -> None:
    user = await make_user(api)
    assert await least_round_trips(lambda: api.get(f"/users/{user['id']}")) == 1


@pytest.mark.clause("GEN-7", "DOC-2")
async def test_reading_a_document_with_its_owner_takes_one_round_trip(api: Api) -> None:
    document = await make_document(api)
    assert await least_round_trips(lambda: api.get(f"/documents/{document['id']}?include=owner")) == 1


@pytest.mark.clause("GEN-7")
async def test_a_write_counts_at_least_one_round_trip(api: Api) -> None:
    user = await make_user(api)
    change = {"name": "Grace"}
    response = await api.patch(f"/users/{user['id']}", json=change, headers=if_match(user))
    assert round_trips(response) >= 1
