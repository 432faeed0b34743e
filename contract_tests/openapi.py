"""Checks answers against the OpenAPI document that the service itself publishes."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import httpx2
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_ROOT: Final = "urn:openapi"
_BODILESS: Final = frozenset({204, 304})


class Description:
    """A parsed `/openapi.json` with one compiled validator per (route, method, status, media type).

    Paths of answers begin with `prefix`, those of the document do not.
    """

    def __init__(self, document: Mapping[str, Any], prefix: str) -> None:
        self.document = document
        self._prefix = prefix
        self._registry = Registry[Any]().with_resource(_ROOT, DRAFT202012.create_resource(document))
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def _routes(self) -> list[tuple[re.Pattern[str], str]]:
        fixed_first = sorted(self.document["paths"], key=lambda path: ("{" in path, path))
        return [
            (re.compile(re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(path)) + r"\Z"), path)
            for path in fixed_first
        ]

    def route(self, path: str) -> str | None:
        """The template (`/users/{user_id}`) that serves a path; None where the document knows none."""
        return next((template for pattern, template in self._routes if pattern.match(path)), None)

    def misfit(self, method: str, response: httpx2.Response) -> str | None:
        """Why the answer does not fit the document; None if it does, or if no route was asked."""
        template = self.route(response.url.path.removeprefix(self._prefix))
        if template is None:
            return None
        item = self.document["paths"][template]
        is_head_of_get = method == "HEAD" and response.status_code != 405
        asked = "get" if is_head_of_get else method.lower()
        if asked not in item:
            return None if response.status_code in (401, 405) else f"{method} {template} is not described"
        status = response.status_code
        place = f"{method} {template} → {status}"
        named = _status_key(item[asked]["responses"], status)
        if named is None:
            return f"{place} is not described"
        if method == "HEAD" or status in _BODILESS:
            return None
        answer, pointer = self._resolve(["paths", template, asked, "responses", named])
        media_type = response.headers.get("content-type", "").partition(";")[0]
        if "*/*" in answer.get("content", {}):
            return None
        if media_type not in answer.get("content", {}):
            return f"{place}: media type {media_type!r} is not described"
        return self._body_misfit(place, [*pointer, "content", media_type, "schema"], response)

    def _body_misfit(self, place: str, pointer: list[str], response: httpx2.Response) -> str | None:
        where = "/".join(quote(part.replace("~", "~0").replace("/", "~1")) for part in pointer)
        validator = self._validators.get(where)
        if validator is None:
            validator = Draft202012Validator({"$ref": f"{_ROOT}#/{where}"}, registry=self._registry)
            self._validators[where] = validator
        is_json = response.headers["content-type"].endswith(("application/json", "+json"))
        error = next(validator.iter_errors(response.json() if is_json else response.text), None)
        if error is None:
            return None
        return f"{place}: {error.json_path}: {error.message[:200]}"

    def _resolve(self, pointer: list[str]) -> tuple[Mapping[str, Any], list[str]]:
        node: Any = self.document
        for part in pointer:
            node = node[part]
        if "$ref" in node:
            return self._resolve(node["$ref"].removeprefix("#/").split("/"))
        return node, pointer


def _status_key(responses: Mapping[str, Any], status: int) -> str | None:
    candidates = (str(status), f"{status // 100}XX", "default")
    return next((key for key in candidates if key in responses), None)
