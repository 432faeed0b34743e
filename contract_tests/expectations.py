"""One asserting helper for each shape of answer."""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx2
from api import Api

USER_FIELDS: Final = frozenset({"id", "email", "name", "version", "created_at", "updated_at"})
DOCUMENT_FIELDS: Final = frozenset(
    {"id", "owner_id", "title", "content", "tags", "version", "created_at", "updated_at"}
)
ATTACHMENT_FIELDS: Final = frozenset(
    {"id", "document_id", "filename", "media_type", "size", "sha256", "created_at"}
)

Json = dict[str, Any]

_TIMING: Final = re.compile(
    r'app;dur=\d+(?:\.\d+)?, db;dur=\d+(?:\.\d+)?;desc="(\d+)"(?:, statements;desc="\d+")?'
)


def expect_problem(
    response: httpx2.Response, status: int, slug: str, loc: list[str | int] | None = None
) -> Json:
    """The problem document (GEN-4); with `loc`, one of its errors names exactly that place."""
    assert response.status_code == status, _told(response)
    problem = _object(response)
    assert problem["type"] == f"/problems/{slug}", problem
    if loc is not None:
        assert loc in [error["loc"] for error in problem.get("errors", [])], problem
    return problem


def expect_places(problem: Mapping[str, Any], *places: list[str | int]) -> None:
    """The errors of a problem name exactly these places, in this order."""
    assert [error["loc"] for error in problem["errors"]] == list(places), problem


def expect_user(response: httpx2.Response, status: int = 200, **fields: Any) -> Json:
    """A user with its ETag (and Location, if 201), whose named fields are as given."""
    user = _resource(response, status, "users")
    check_user(user, **fields)
    return user


def expect_document(response: httpx2.Response, status: int = 200, **fields: Any) -> Json:
    """A document with its ETag (and Location, if 201), whose named fields are as given."""
    document = _resource(response, status, "documents")
    check_document(document, **fields)
    return document


def expect_attachment(response: httpx2.Response, **fields: Any) -> Json:
    """A created attachment with its ETag and Location, whose named fields are as given."""
    assert response.status_code == 201, _told(response)
    attachment = _object(response)
    assert set(attachment) == ATTACHMENT_FIELDS, attachment
    check_id(attachment["id"])
    assert response.headers["etag"] == f'"{attachment["sha256"]}"', dict(response.headers)
    posted_to = f"/documents/{attachment['document_id']}/attachments"
    place = response.request.url.path.removesuffix(posted_to) + f"/attachments/{attachment['id']}"
    assert response.headers["location"] == place, dict(response.headers)
    for name, value in fields.items():
        assert attachment[name] == value, f"{name}: {attachment[name]!r} is not {value!r}"
    return attachment


def check_user(user: Mapping[str, Any], **fields: Any) -> None:
    """The shape of a user anywhere in an answer."""
    assert set(user) == USER_FIELDS, user
    _check_resource(user, fields)


def check_document(document: Mapping[str, Any], **fields: Any) -> None:
    """The shape of a document anywhere in an answer, without an included owner."""
    assert set(document) == DOCUMENT_FIELDS, document
    check_id(document["owner_id"])
    _check_resource(document, fields)


def check_id(value: str) -> None:
    """A UUIDv7, lower-case with hyphens (GEN-2)."""
    assert str(uuid.UUID(value)) == value, value
    assert uuid.UUID(value).version == 7, value


def expect_page(response: httpx2.Response) -> tuple[list[Json], str | None]:
    """The items and the next cursor of a collection (GEN-9)."""
    assert response.status_code == 200, _told(response)
    page = _object(response)
    assert set(page) == {"items", "next_cursor"}, page
    cursor = page["next_cursor"]
    assert cursor is None or isinstance(cursor, str), page
    return page["items"], cursor


async def walk(
    api: Api, path: str, params: Mapping[str, Any] | None = None, *, most: int = 1_000
) -> list[Json]:
    """The items of all pages; fails if the walk has not ended after `most` pages."""
    rows, cursor = expect_page(await api.get(path, params=dict(params or {})))
    for _ in range(most):
        if cursor is None:
            return rows
        items, cursor = expect_page(await api.get(path, params={**(params or {}), "cursor": cursor}))
        assert items, "GEN-9: next_cursor led to an empty page"
        rows += items
    raise AssertionError(f"GEN-9: {path} did not end after {most} pages")


def expect_not_modified(response: httpx2.Response, tag: str) -> None:
    """304 with the current ETag and no body (GEN-10)."""
    assert response.status_code == 304, _told(response)
    assert response.headers["etag"] == tag
    assert response.content == b""


def expect_gone(response: httpx2.Response) -> None:
    """204 with no body."""
    assert response.status_code == 204, _told(response)
    assert response.content == b""


def round_trips(response: httpx2.Response) -> int:
    """How often the service asked its database, as Server-Timing tells (GEN-7)."""
    timing = response.headers["server-timing"]
    found = _TIMING.fullmatch(timing)
    assert found, f"GEN-7: Server-Timing: {timing}"
    return int(found.group(1))


def same_json(one: object, other: object) -> bool:
    """Equality by value (GEN-6): 1 is 1.0, a boolean is no number, the order of keys is free.

    >>> same_json({"a": 1, "b": [0.0]}, {"b": [-0.0], "a": 1.0})
    True
    >>> same_json(True, 1), same_json(2**53 + 1, float(2**53)), same_json([1, 2], [2, 1])
    (False, False, False)
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


def _resource(response: httpx2.Response, status: int, collection: str) -> Json:
    assert response.status_code == status, _told(response)
    resource = _object(response)
    assert response.headers["etag"] == f'"{resource["version"]}"', dict(response.headers)
    if status == 201:
        place = f"{response.request.url.path}/{resource['id']}"
        assert response.headers["location"] == place, dict(response.headers)
        assert place.endswith(f"/{collection}/{resource['id']}"), place
    return resource


def _check_resource(resource: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    check_id(resource["id"])
    assert type(resource["version"]) is int, resource
    assert resource["version"] >= 1, resource
    assert resource["created_at"] <= resource["updated_at"], resource
    for name, value in fields.items():
        assert same_json(resource[name], value), f"{name}: {resource[name]!r} is not {value!r}"


def _object(response: httpx2.Response) -> Json:
    value = response.json()
    assert isinstance(value, dict), value
    return value


def _told(response: httpx2.Response) -> str:
    request = response.request
    return f"{request.method} {request.url} → {response.status_code}: {response.text[:500]}"


async def least_round_trips(request: Callable[[], Awaitable[httpx2.Response]], tries: int = 15) -> int:
    """Of as many requests as a pool has connections, and more: the first run of a statement on a connection
    may prepare it, and tests beside this one keep the connections changing."""
    return min([round_trips(await request()) for _ in range(tries)])
