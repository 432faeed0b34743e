"""The chosen services in step: one request to all, and the differences of their answers told."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx2
from api import ANSWER_TIMEOUT, check_answer
from expectations import same_json
from stateful import answers, feed
from stateful.feed import Change

SETTLED_WITHIN: Final = 20.0
"""Seconds; how long it may take is a test of its own."""

_AGAIN: Final = 0.01


@dataclass(frozen=True)
class Ref:
    """A row by the name that the machine gave it; each service has an id of its own for it."""

    name: str


@dataclass(frozen=True)
class Request:
    """A request as it is meant: `Ref`s in the body and the query, `{name}`s in the path stand for ids.

    `raw` is sent as it is, but for `<owner>`, which stands for the id of `owner`; `form` is sent as it is.
    """

    method: str
    path: str
    params: Sequence[tuple[str, str | Ref]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    raw: bytes | None = None
    owner: str = ""
    form: bytes | None = field(default=None, repr=False)


class Sibling:
    """One service, and its ids of the rows that the machine knows."""

    def __init__(self, name: str, url: str, token: str | None) -> None:
        self.name = name
        self._prefix = urlsplit(url).path
        self.ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx2.Client(base_url=url, headers=headers, timeout=ANSWER_TIMEOUT, trust_env=False)
        self._after = ""

    def close(self) -> None:
        self._client.close()

    def know(self, created: Sequence[str], answer: Any) -> None:
        """From now on `Ref`s of these names stand for the ids in the answer."""
        for name, row in zip(created, answer.get("items", [answer]), strict=True):
            self.ids[name] = row["id"]
            self._names[row["id"]] = name

    def begin(self) -> None:
        """Starts anew: no row is known, and only changes from now on count."""
        self.ids.clear()
        self._names.clear()
        self._after = self._after or feed.head(self._client)

    def changes(self, mark: str) -> list[Change]:
        """Of all known rows since the beginning, before the one of this name was made."""
        found, self._after = feed.changes(self._client, self._after, self.ids[mark], self._names)
        return found

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
            content=request.form or content,
        )
        check_answer(request.method, response, self._prefix)
        return response

    def comparable(self, response: httpx2.Response) -> Any:
        return answers.comparable(response, self._names, self._prefix)

    def settled(self, request: Request, is_settled: Callable[[Any], bool]) -> Any:
        """The comparable answer once it is settled, or else the last one in time."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while True:
            answer = self.comparable(self.send(request, None))
            if is_settled(answer) or time.monotonic() > deadline:
                return answer
            time.sleep(_AGAIN)

    def _id(self, value: object) -> str:
        if isinstance(value, Ref):
            return self.ids[value.name]
        assert isinstance(value, str), value
        return value


class Siblings:
    """Sends to all at once; every difference is an AssertionError."""

    def __init__(self, urls: Mapping[str, str], token: str | None) -> None:
        self._all = [Sibling(name, url, token) for name, url in urls.items()]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._threads = self._stack.enter_context(ThreadPoolExecutor(len(self._all)))
        for sibling in self._all:
            self._stack.callback(sibling.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def begin(self) -> None:
        """Starts anew: no row is known, and only changes from now on count."""
        list(self._threads.map(Sibling.begin, self._all))

    def ask(self, request: Request, created: Sequence[str] = ()) -> Any:
        """The one comparable answer; `created` names the rows that it makes, in order, if it makes them."""
        return self._step(request, created, [None] * len(self._all))[0]

    def texts(self, request: Request) -> list[str]:
        """What each one answered, in words, where all else is the same."""
        return [response.text for response in self._step(request, (), [None] * len(self._all))[1]]

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

    def settle(self, request: Request, is_settled: Callable[[Any], bool]) -> Any:
        """The one comparable answer, once each service's is settled."""
        found = list(self._threads.map(lambda one: one.settled(request, is_settled), self._all))
        self._compare(request, found)
        assert is_settled(found[0]), f"{request}: {found[0]} after {SETTLED_WITHIN:g} s"
        return found[0]

    def check_changes(self, mark: str, expected: Sequence[Sequence[Change]]) -> None:
        """Each service told of these changes before the one of `mark`, each once, and of no others."""
        told = self._threads.map(lambda one: one.changes(mark), self._all)
        for sibling, heard in zip(self._all, told, strict=True):
            try:
                feed.check(heard, expected)
            except AssertionError as error:
                error.add_note(f"by {sibling.name}")
                raise

    def _step(
        self, request: Request, created: Sequence[str], cursors: Sequence[str | None]
    ) -> tuple[Any, list[httpx2.Response]]:
        sent = self._threads.map(lambda one, cursor: one.send(request, cursor), self._all, cursors)
        responses = list(sent)
        for sibling, response in zip(self._all, responses, strict=True):
            if created and response.status_code in (201, 202):
                sibling.know(created, response.json())
        found = [one.comparable(answer) for one, answer in zip(self._all, responses, strict=True)]
        self._compare(request, found)
        return found[0], responses

    def _compare(self, request: Request, found: Sequence[Any]) -> None:
        for sibling, answer in zip(self._all[1:], found[1:], strict=True):
            assert same_json(answer, found[0]), (
                f"{request}\n{self._all[0].name}: {found[0]}\n{sibling.name}: {answer}"
            )


def _cursor(response: httpx2.Response) -> str | None:
    cursor = response.json().get("next_cursor") if response.status_code == 200 else None
    assert cursor is None or isinstance(cursor, str)
    return cursor
