"""The chosen services in step: one request to all, answers made comparable, differences told."""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx2
from api import ANSWER_TIMEOUT, TIME, check_answer
from expectations import same_json

COMPARED_HEADERS: Final = ("content-type", "etag", "location", "allow", "retry-after")
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Ref:
    """A row by the name that the machine gave it; each service has an id of its own for it."""

    name: str


@dataclass(frozen=True)
class Request:
    """A request as it is meant: `Ref`s in the body and the query, `{name}`s in the path stand for ids.

    `raw` is sent as it is, but for `<owner>`, which stands for the id of `owner`.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str | Ref]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None
    owner: str = ""


class Sibling:
    """One service, and its ids of the rows that the machine knows."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._client = httpx2.Client(base_url=url, timeout=ANSWER_TIMEOUT)

    def close(self) -> None:
        self._client.close()

    def know(self, name: str, identity: str) -> None:
        """From now on `Ref(name)` stands for this id."""
        self.ids[name] = identity
        self._names[identity] = name

    def forget(self) -> None:
        """Starts anew: no row is known."""
        self.ids.clear()
        self._names.clear()

    def send(self, request: Request, cursor: str | None) -> httpx2.Response:
        """The service's answer, checked for what every answer must keep."""
        params: list[tuple[str, str | int | float | bool | None]] = [
            (key, self._id(value)) for key, value in request.params
        ]
        if cursor:
            params.append(("cursor", cursor))
        content = request.raw and request.raw.replace(b"<owner>", self.ids[request.owner].encode())
        headers = dict(request.headers)
        if request.body is not None:
            content = json.dumps(request.body, default=self._id).encode()
        if content is not None:
            headers["Content-Type"] = "application/json"
        response = self._client.request(
            request.method,
            request.path.format_map(self.ids),
            params=params or None,
            headers=headers,
            content=content,
        )
        check_answer(request.method, response)
        return response

    def comparable(self, response: httpx2.Response) -> Any:
        """The answer with names for ids; times and cursors only as being there."""
        headers = {name: self._named(response.headers.get(name, "")) for name in COMPARED_HEADERS}
        body = self._plain(response.json()) if response.content else None
        return {"status": response.status_code, "headers": headers, "body": body}

    def _plain(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: self._plain(value) if key != "next_cursor" else value is not None
                for key, value in node.items()
            }
        if isinstance(node, list):
            return [self._plain(item) for item in node]
        if isinstance(node, str):
            return "<time>" if TIME.match(node) else self._named(node)
        return node

    def _named(self, text: str) -> str:
        return _ID.sub(lambda found: f"<{self._names.get(found[0], 'unknown')}>", text)

    def _id(self, value: object) -> str:
        if isinstance(value, Ref):
            return self.ids[value.name]
        assert isinstance(value, str), value
        return value


class Siblings:
    """Sends to all at once; every difference is an AssertionError."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._all = [Sibling(name, url) for name, url in urls.items()]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._threads = self._stack.enter_context(ThreadPoolExecutor(len(self._all)))
        for sibling in self._all:
            self._stack.callback(sibling.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def forget(self) -> None:
        """Starts anew: no row is known."""
        for sibling in self._all:
            sibling.forget()

    def ask(self, request: Request, created: Sequence[str] = ()) -> Any:
        """The one comparable answer; `created` names the rows that it makes, in order, if it makes them."""
        return self._step(request, created, [None] * len(self._all))[0]

    def walk(self, request: Request) -> list[Any]:
        """The comparable answers of all pages."""
        cursors: list[str | None] = [None] * len(self._all)
        pages: list[Any] = []
        while not pages or any(cursors):
            page, responses = self._step(request, (), cursors)
            pages.append(page)
            assert len(pages) < 100, f"{request} does not end"
            cursors = [_cursor(response) for response in responses]
        return pages

    def _step(
        self, request: Request, created: Sequence[str], cursors: Sequence[str | None]
    ) -> tuple[Any, list[httpx2.Response]]:
        sent = self._threads.map(lambda one, cursor: one.send(request, cursor), self._all, cursors)
        responses = list(sent)
        for sibling, response in zip(self._all, responses, strict=True):
            if created and response.status_code == 201:
                answer = response.json()
                for name, row in zip(created, answer.get("items", [answer]), strict=True):
                    sibling.know(name, row["id"])
        answers = [one.comparable(answer) for one, answer in zip(self._all, responses, strict=True)]
        for sibling, answer in zip(self._all[1:], answers[1:], strict=True):
            assert same_json(answer, answers[0]), (
                f"{request}\n{self._all[0].name}: {answers[0]}\n{sibling.name}: {answer}"
            )
        return answers[0], responses


def _cursor(response: httpx2.Response) -> str | None:
    cursor = response.json().get("next_cursor") if response.status_code == 200 else None
    assert cursor is None or isinstance(cursor, str)
    return cursor
