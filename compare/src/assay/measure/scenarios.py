"""What is measured: one operation of the contract each, with the requests that it is measured by.

Every arm gets the same requests in the same order, but for ids. An arm is a place in its database (`lane`):
two arms of one database change different rows of equal content.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from assay.measure import dataset
from assay.measure.connection import Asked, Source, prepare
from assay.measure.dataset import BUSY_OWNERS, PERIOD, Rows

_JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Target:
    """Whom the requests are for: `host` is host:port, `lane` counts the arms of one database from 0."""

    host: str
    rows: Rows
    lane: int

    @property
    def label(self) -> str:
        """Stands in what the arm creates, always as long; equality of answers looks past it."""
        return f"lane{self.lane}"

    def get(self, path: str) -> bytes:
        return prepare("GET", path, self.host)

    def send(self, method: str, path: str, body: object, **headers: str) -> bytes:
        return prepare(method, path, self.host, {**_JSON, **headers}, orjson.dumps(body))


Requests = Callable[[Target, random.Random], Iterator[bytes | Asked]]


@dataclass(frozen=True)
class Scenario:
    """`operation` is the port's method; `floors` name the floors that answer it as well."""

    name: str
    title: str
    operation: str
    clauses: tuple[str, ...]
    requests: Requests
    connections: int = 16
    floors: tuple[str, ...] = ()

    def source(self, target: Target, seed: int) -> Source:
        return self.requests(target, random.Random(seed)).__next__


def _prepared(requests: list[bytes]) -> Iterator[bytes]:
    return itertools.cycle(requests)


def _get_users(target: Target, chance: random.Random) -> Iterator[bytes]:
    return _prepared([target.get(f"/users/{chance.choice(target.rows.users)}") for _ in range(5_000)])


def _get_documents(target: Target, chance: random.Random) -> Iterator[bytes]:
    ids = chance.choices(target.rows.documents, k=5_000)
    return _prepared([target.get(f"/documents/{document_id}?include=owner") for document_id in ids])


def _list_by_owner(target: Target, chance: random.Random) -> Iterator[bytes]:
    owners = chance.choices(target.rows.users[:BUSY_OWNERS], k=1_000)
    return _prepared(
        [target.get(f"/documents?owner_id={owner}&sort=-created_at&limit=50") for owner in owners]
    )


def _list_filtered(target: Target, chance: random.Random) -> Iterator[bytes]:
    filters = [(chance.choice(dataset.TAGS), chance.randrange(500)) for _ in range(500)]
    return _prepared(
        [
            target.get(f"/documents?tag={tag}&where=size:ge:{size}&where=state:eq:open")
            for tag, size in filters
        ]
    )


def _create_users(target: Target, chance: random.Random) -> Iterator[bytes]:
    run = chance.getrandbits(40)
    for number in itertools.count():
        user = {"email": f"new{number}.{run}@{target.label}.example", "name": f"New user {number}"}
        yield target.send("POST", "/users", user)


def _create_many_users(target: Target, chance: random.Random) -> Iterator[bytes]:
    run = chance.getrandbits(40)
    for number in itertools.count():
        users = [
            {"email": f"batch{number}.{place}.{run}@{target.label}.example", "name": f"User {place}"}
            for place in range(100)
        ]
        yield target.send("POST", "/users/batch", users)


def _create_many_documents(target: Target, chance: random.Random) -> Iterator[bytes]:
    payloads = [dataset.document(number) for number in range(1_000)]
    for number in itertools.count():
        batch = [
            {**payloads[(number * 100 + place) % 1_000], "owner_id": chance.choice(target.rows.users)}
            for place in range(100)
        ]
        yield target.send("POST", "/documents/batch", batch)


def _patch(target: Target, change: Callable[[int], object], first: int) -> Iterator[Asked]:
    """Rows in turn, each with the ETag that its last answer gave. A row comes again only after 999 others, so
    that its answer is there by then."""
    rows = range(first + target.lane * PERIOD, first + target.lane * PERIOD + 1_000)
    ids = [target.rows.documents[number] for number in rows]
    tags = dict.fromkeys(ids, '"1"')

    def asked(document_id: str, body: object) -> Asked:
        def learn(status: int, head: bytes, _body: bytes) -> None:
            if status == 200:
                tags[document_id] = _etag(head)

        path = f"/documents/{document_id}"
        return Asked(target.send("PATCH", path, body, **{"if-match": tags[document_id]}), learn)

    for number in itertools.count():
        yield asked(ids[number % len(ids)], change(number))


def _etag(head: bytes) -> str:
    return head.lower().partition(b"\r\netag:")[2].partition(b"\r\n")[0].strip().decode()


def _patch_title(target: Target, _chance: random.Random) -> Iterator[Asked]:
    return _patch(
        target, lambda number: {"title": f"Title {number}", "tags": [f"patch-{number % 7}"]}, first=0
    )


def _patch_content(target: Target, _chance: random.Random) -> Iterator[Asked]:
    return _patch(target, lambda number: {"content": {"size": number, "score": None}}, first=1_000)


def _transfer(target: Target, _chance: random.Random) -> Iterator[bytes]:
    """Groups of ten documents of one busy owner, to another user and back; a group comes again after 99
    others."""
    groups = 100
    for number in itertools.count():
        group = number % groups
        first = group + target.lane * PERIOD
        owners = [target.rows.users[group], target.rows.users[-1 - group]]
        giving, taking = owners if number // groups % 2 == 0 else reversed(owners)
        body = {
            "document_ids": target.rows.documents[first : first + 10 * BUSY_OWNERS : BUSY_OWNERS],
            "from_owner_id": giving,
            "to_owner_id": taking,
        }
        yield target.send("POST", "/documents/transfer", body)


def _dashboard(target: Target, _chance: random.Random) -> Iterator[bytes]:
    return _prepared([target.get("/dashboard")])


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "users.get",
        "One user by id",
        "users.get",
        ("USR-3",),
        _get_users,
        floors=("floor-http", "floor-asyncpg", "floor-motor"),
    ),
    Scenario(
        "documents.get",
        "One document with its owner",
        "documents.get_with_owner",
        ("DOC-2",),
        _get_documents,
        floors=("floor-http",),
    ),
    Scenario(
        "documents.list",
        "The newest 50 documents of an owner",
        "documents.list",
        ("DOC-6", "GEN-9"),
        _list_by_owner,
        connections=8,
        floors=("floor-http",),
    ),
    Scenario(
        "documents.list-filtered",
        "50 documents by tag and content",
        "documents.list",
        ("DOC-6",),
        _list_filtered,
        connections=8,
        floors=("floor-http",),
    ),
    # one at a time: requests that come together share one run of the queries (DSH-2)
    Scenario(
        "dashboard", "The dashboard, not cached", "dashboard.totals", ("DSH-1",), _dashboard, connections=1
    ),
    Scenario(
        "documents.patch",
        "Title and tags of a document, with If-Match",
        "documents.update",
        ("DOC-3", "GEN-10"),
        _patch_title,
        floors=("floor-http",),
    ),
    Scenario(
        "documents.patch-content",
        "A merge patch of a document's content, with If-Match",
        "documents.update",
        ("DOC-3", "GEN-10"),
        _patch_content,
        floors=("floor-http",),
    ),
    Scenario(
        "documents.transfer",
        "Ten documents to another owner",
        "documents.transfer",
        ("DOC-8",),
        _transfer,
        floors=("floor-http",),
    ),
    Scenario("users.create", "One user", "users.create", ("USR-1",), _create_users, floors=("floor-http",)),
    Scenario(
        "users.create_many",
        "100 users in one request",
        "users.create_many",
        ("USR-6",),
        _create_many_users,
        connections=4,
        floors=("floor-http", "floor-asyncpg"),
    ),
    Scenario(
        "documents.create_many",
        "100 documents in one request",
        "documents.create_many",
        ("DOC-5",),
        _create_many_documents,
        connections=4,
        floors=("floor-http",),
    ),
)
"""Reading before writing: every arm reads the same rows, as each is seeded alike and none has written yet."""
