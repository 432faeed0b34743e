"""The API description: what FastAPI reads off the routes, with every answer of the contract named (OPS-6)."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from shared.http.access import OPEN_PATHS
from shared.http.answers import EVERYWHERE, OF_ACCESS, OF_BODIES, OF_CONDITIONS, OF_KEYS
from shared.http.problems import status_of, title_of
from shared.http.routing import ContractRoute
from shared.schemas.problems import Problem

# relative to the description's own address: right behind every prefix, and the same for every backend
_SERVERS: list[dict[str, Any]] = [{"url": "."}]
_SCHEMAS = "#/components/schemas/"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": f"{_SCHEMAS}Problem"}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document. Its paths and components are the same for every backend."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version=app.openapi_version,
        routes=app.routes,
        servers=_SERVERS,
    )
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = TypeAdapter(Problem).json_schema(ref_template=_SCHEMAS + "{model}", mode="serialization")
    schemas.update(problem.pop("$defs"), Problem=problem)
    for route in app.routes:
        if isinstance(route, ContractRoute) and route.include_in_schema:
            _name_answers(document["paths"][route.path_format][route.method.lower()], route)
    return document


def _name_answers(operation: dict[str, Any], route: ContractRoute) -> None:
    answers, responses = route.answers, operation["responses"]
    responses.pop("422", None)
    of_conditions = OF_CONDITIONS if answers.conditional else ()
    of_bodies = OF_BODIES if "requestBody" in operation else ()
    of_keys = OF_KEYS if answers.keyed else ()
    of_access = () if route.path in OPEN_PATHS else OF_ACCESS
    named = {*answers.problems, *EVERYWHERE, *of_conditions, *of_bodies, *of_keys, *of_access}
    for slug in sorted(named, key=lambda slug: (status_of(slug), slug)):
        described = responses.setdefault(str(status_of(slug)), {"description": "", "content": _PROBLEM})
        described["description"] = " or ".join(filter(None, [described["description"], title_of(slug)]))
    if answers.tagged and route.method == "GET":
        responses["304"] = {"description": "Not modified", "headers": responses["200"]["headers"]}
    for response in responses.values():
        request_id = {"X-Request-ID": {"schema": {"type": "string"}}}
        response["headers"] = {**response.get("headers", {}), **request_id}
    if answers.media_types:
        responses[str(answers.status)]["content"].pop("application/json", None)
    for name in _request_headers(route):
        parameter = {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        operation.setdefault("parameters", []).append(parameter)
    if answers.merge_patch:
        content = operation["requestBody"]["content"]
        content["application/merge-patch+json"] = content["application/json"]


def _request_headers(route: ContractRoute) -> list[str]:
    """What the route reads beside its path, query and body."""
    if route.method in ("PUT", "PATCH", "DELETE"):
        return ["If-Match"]
    conditions = ["If-None-Match"] if route.answers.tagged and route.method == "GET" else []
    ranges = ["Range", "If-Range"] if "range-not-satisfiable" in route.answers.problems else []
    resuming = ["Last-Event-ID"] if "text/event-stream" in route.answers.media_types else []
    return conditions + ranges + resuming
