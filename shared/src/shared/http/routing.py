"""FastAPI routes that read requests by the contract's rules, and the table that finds them.

FastAPI knows the routes as it knows any other: their signatures make the API description. What it would do
at run time (dependencies, exit stacks, its own 422) costs more than a driver does, and checks in another
order than the contract's; so a route compiles its signature once into the few steps that its requests need.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from starlette.routing import BaseRoute

from shared.http.access import check_scope
from shared.http.answers import Answers
from shared.http.bodies import JSON_ONLY, JSON_OR_MERGE_PATCH, read_json
from shared.http.call import Answer, Call
from shared.http.idempotency import check_key
from shared.http.problems import ProblemError, invalid
from shared.http.queries import NoQuery, read_query
from shared.http.uploads import FORM_SCHEMA, Upload
from shared.rules.ids import parse_id
from shared.schemas.problems import FieldError

Endpoint = Callable[..., Awaitable[Answer]]

_NOT_SENT = ("call", "upload")


class ContractRoute(APIRoute):
    """Its endpoint takes the Call and, by name, any of: the ids of its path, `query`, and either `body` or
    `upload`, which it reads before anything else."""

    def __init__(self, method: str, path: str, endpoint: Endpoint, answers: Answers, tag: str) -> None:
        signature = inspect.signature(endpoint)
        super().__init__(
            path,
            _declared(endpoint, signature),
            methods={method},
            response_model=None,
            status_code=answers.status,
            responses=answers.success(),
            tags=[tag],
            include_in_schema=answers.is_described,
            openapi_extra=FORM_SCHEMA if "upload" in signature.parameters else None,
        )
        self.method = method
        self.answers = answers
        self.segments = tuple(path[1:].split("/"))
        self._respond = endpoint
        self._ids = [(place, name[1:-1]) for place, name in enumerate(self.segments) if name.startswith("{")]
        query = signature.parameters.get("query")
        self._takes_query = query is not None
        self._query: type[BaseModel] = NoQuery if query is None else _model(query.annotation)
        body = signature.parameters.get("body")
        self._body: TypeAdapter[Any] | None = None if body is None else TypeAdapter(_model(body.annotation))
        self._takes_upload = "upload" in signature.parameters
        self._is_keyed = answers.keyed
        self._media_types = JSON_OR_MERGE_PATCH if answers.merge_patch else JSON_ONLY

    # counters are kept by route: a route is itself and no other
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    async def respond(self, call: Call, segments: Sequence[str]) -> Answer:
        arguments: dict[str, Any] = {}
        found: list[FieldError] = []
        if self._body is not None:
            arguments["body"], found = await read_json(call, self._media_types, self._body)
        for place, name in self._ids:
            arguments[name] = parse_id(segments[place])
            if arguments[name] is None:
                found.insert(0, invalid("path", name, msg="is no id of 36 lower-case characters", kind="id"))
        if self._takes_query or call.scope["query_string"]:
            query, wrong = read_query(call.scope["query_string"], self._query)
            found = wrong + found
            if self._takes_query:
                arguments["query"] = query
        if self._is_keyed:
            found = found + check_key(call)
        if self._takes_upload:
            # what is wrong with a body that nobody has read yet comes first
            return await self._respond(call, upload=Upload(call, found), **arguments)
        if found:
            raise ProblemError("validation", field_errors=found)
        check_scope(call.scopes, self.method)
        return await self._respond(call, **arguments)


class Routes:
    """The routes of one family, in contract order."""

    def __init__(self, tag: str) -> None:
        self.routes: list[ContractRoute] = []
        self._tag = tag

    def get(self, path: str, answers: Answers) -> Callable[[Endpoint], Endpoint]:
        return self._add("GET", path, answers)

    def post(self, path: str, answers: Answers) -> Callable[[Endpoint], Endpoint]:
        return self._add("POST", path, answers)

    def put(self, path: str, answers: Answers) -> Callable[[Endpoint], Endpoint]:
        return self._add("PUT", path, answers)

    def patch(self, path: str, answers: Answers) -> Callable[[Endpoint], Endpoint]:
        return self._add("PATCH", path, answers)

    def delete(self, path: str, answers: Answers) -> Callable[[Endpoint], Endpoint]:
        return self._add("DELETE", path, answers)

    def _add(self, method: str, path: str, answers: Answers) -> Callable[[Endpoint], Endpoint]:
        def add(endpoint: Endpoint) -> Endpoint:
            self.routes.append(ContractRoute(method, path, endpoint, answers, self._tag))
            return endpoint

        return add


class RouteTable:
    """Finds contract routes by their segments; fixed names win over ids (GEN-2)."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._fixed: dict[tuple[str, ...], dict[str, ContractRoute]] = {}
        self._with_ids: dict[tuple[int, str, str], dict[str, ContractRoute]] = {}
        for route in routes:
            if isinstance(route, ContractRoute):
                by_method = self._by_method(route.segments)
                by_method[route.method] = route
                if route.method == "GET" and route.answers.has_head:
                    by_method["HEAD"] = route

    def _by_method(self, segments: tuple[str, ...]) -> dict[str, ContractRoute]:
        if any(segment.startswith("{") for segment in segments):
            return self._with_ids.setdefault(_shape(segments), {})
        return self._fixed.setdefault(segments, {})

    def find(self, segments: tuple[str, ...]) -> dict[str, ContractRoute] | None:
        """The routes of a path by method, or None where the contract has no such path."""
        by_method = self._fixed.get(segments)
        if by_method is None and 2 <= len(segments) <= 3 and segments[1]:
            by_method = self._with_ids.get(_shape(segments))
        return by_method


def _shape(segments: Sequence[str]) -> tuple[int, str, str]:
    """What paths with an id share: `/users/{id}/summary` and all of its kind have one shape."""
    return len(segments), segments[0], segments[2] if len(segments) > 2 else ""


def _declared(endpoint: Endpoint, signature: inspect.Signature) -> Callable[..., Awaitable[Answer]]:
    """The endpoint as FastAPI is to see it: without what no client sends, or not as FastAPI reads it."""

    async def declared(**arguments: Any) -> Answer:
        raise TypeError("contract routes are answered by respond()")

    parameters = [parameter for name, parameter in signature.parameters.items() if name not in _NOT_SENT]
    declared.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    declared.__name__ = endpoint.__name__
    declared.__doc__ = endpoint.__doc__
    return declared


def _model(annotation: Any) -> Any:
    """The annotation without its last word, which is FastAPI's: `Annotated[type, rules…, Body()]`."""
    model, *rules = get_args(annotation)[:-1]
    return Annotated[(model, *rules)] if rules else model
