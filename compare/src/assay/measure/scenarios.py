"""What is measured: one operation of the contract each, with the requests that it is measured by.

Every arm gets the same requests in the same order, but for ids. An arm is a place in its database (`lane`):
two arms of one database change different rows of equal content.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from assay.measure import dataset
from assay.measure.connection import Asked, Source, prepare
from assay.measure.dataset import Rows

_JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Past:
    """What an arm's earlier requests left behind: a new source goes on from there. `tags` are the ETags that
    are not the first one, `moved` the groups of documents that are with their second owner, `runs` how often
    a seed was used to name new rows."""

    tags: dict[str, str] = field(default_factory=dict)
    moved: set[int] = field(default_factory=set)
    runs: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Target:
    """Whom the requests are for: `host` is host:port, `lane` counts the arms of one database from 0, `prefix`
    is what stands before every path."""

    host: str
    rows: Rows
    lane: int
    prefix: str = ""
    past: Past = field(default_factory=Past)

    @property
    def label(self) -> str:
        """Stands in what the arm creates, always as long; equality of answers looks past it."""
        return f"lane{self.lane}"

    def get(self, path: str) -> bytes:
        return prepare("GET", self.prefix + path, self.host)

    def send(self, method: str, path: str, body: object, **headers: str) -> bytes:
        return prepare(method, self.prefix + path, self.host, {**_JSON, **headers}, orjson.dumps(body))

    def run(self, chance: random.Random) -> str:
        """Names the new rows of one source: the same for all arms, another for each source of an arm."""
        bits = chance.getrandbits(40)
        self.past.runs[bits] += 1
        again = self.past.runs[bits] - 1
        return f"{bits}.{again}" if again else str(bits)


Requests = Callable[[Target, random.Random], Iterator[bytes | Asked]]


@dataclass(frozen=True)
class Scenario:
    """`operation` is the port's method; `floors` name the floors that answer it as well.

    `writes`: its requests change or add rows. `look` gives what is held against the other arms' answers of a
    JSON body; None is all of it, by value. In a closed loop a connection rests `think_ms` after each answer.
    """

    name: str
    title: str
    operation: str
    clauses: tuple[str, ...]
    requests: Requests
    connections: int = 16
    floors: tuple[str, ...] = ()
    writes: bool = False
    look: Callable[[Any], Any] | None = None
    think_ms: float = 0.0

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
    owners = chance.choices(target.rows.busy_owners, k=1_000)
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
    run = target.run(chance)
    for number in itertools.count():
        user = {"email": f"new{number}.{run}@{target.label}.example", "name": f"New user {number}"}
        yield target.send("POST", "/users", user)


def _create_many_users(target: Target, chance: random.Random) -> Iterator[bytes]:
    run = target.run(chance)
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


def _patch(target: Target, change: Callable[[int], object], ids: Sequence[str]) -> Iterator[Asked]:
    """Rows in turn, each with the ETag that its last answer gave. A row comes again only after all others, so
    that its answer is there by then."""
    for number in itertools.count():
        yield asked_patch(target, ids[number % len(ids)], change(number))


def asked_patch(
    target: Target, document_id: str, body: object, on_status: Callable[[int], None] | None = None
) -> Asked:
    """A patch with the row's last ETag, which learns the next one; `on_status` hears how it was answered."""
    tags = target.past.tags

    def learn(status: int, head: bytes, _body: bytes) -> None:
        if status == 200:
            tags[document_id] = etag(head)
        if on_status is not None:
            on_status(status)

    headers = {"if-match": tags.get(document_id, '"1"')}
    return Asked(target.send("PATCH", f"/documents/{document_id}", body, **headers), learn)


def etag(head: bytes) -> str:
    return head.lower().partition(b"\r\netag:")[2].partition(b"\r\n")[0].strip().decode()


def _patched_rows(target: Target, part: int) -> Sequence[str]:
    """A fifth of the lane, without the documents that transfers change: those of the first busy owners."""
    rows, lane = target.rows, target.rows.lane(target.lane)
    moving = {row for owner in range(_groups(target)) for row in rows.owned(owner, target.lane)}
    ids = [row for row in lane if row not in moving]
    fifth = len(lane) // 5
    return ids[part * fifth : (part + 1) * fifth]


def _groups(target: Target) -> int:
    return len(target.rows.busy_owners) // 5


def _patch_title(target: Target, _chance: random.Random) -> Iterator[Asked]:
    return _patch(
        target,
        lambda number: {"title": f"Title {number}", "tags": [f"patch-{number % 7}"]},
        _patched_rows(target, part=0),
    )


def _patch_content(target: Target, _chance: random.Random) -> Iterator[Asked]:
    return _patch(
        target, lambda number: {"content": {"size": number, "score": None}}, _patched_rows(target, part=1)
    )


def _transfer(target: Target, _chance: random.Random) -> Iterator[Asked]:
    """Groups of ten documents of one busy owner, to another user and back; a group comes again after all
    others."""
    moved = target.past.moved
    for number in itertools.count():
        group = number % _groups(target)
        owners = target.rows.users[group], target.rows.users[-1 - group]
        giving, taking = reversed(owners) if group in moved else owners
        body = {
            "document_ids": target.rows.owned(group, target.lane)[:10],
            "from_owner_id": giving,
            "to_owner_id": taking,
        }

        def learn(status: int, _head: bytes, _body: bytes, group: int = group) -> None:
            if status == 200:
                moved.symmetric_difference_update({group})

        yield Asked(target.send("POST", "/documents/transfer", body), learn)


def _dashboard(target: Target, _chance: random.Random) -> Iterator[bytes]:
    return _prepared([target.get("/dashboard")])


ALL_FLOORS = ("bare", "floor-http", "floor-asyncpg", "floor-motor")
"""Those that split a cost into framework, driver and layer."""

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "users.get",
        "One user by id",
        "users.get",
        ("USR-3",),
        _get_users,
        floors=ALL_FLOORS,
    ),
    Scenario(
        "documents.get",
        "One document with its owner",
        "documents.get_with_owner",
        ("DOC-2",),
        _get_documents,
        floors=ALL_FLOORS,
    ),
    Scenario(
        "documents.list",
        "The newest 50 documents of an owner",
        "documents.list",
        ("DOC-6", "GEN-9"),
        _list_by_owner,
        connections=8,
        floors=ALL_FLOORS,
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
        floors=ALL_FLOORS,
        writes=True,
    ),
    Scenario(
        "documents.patch-content",
        "A merge patch of a document's content, with If-Match",
        "documents.update",
        ("DOC-3", "GEN-10"),
        _patch_content,
        floors=("floor-http",),
        writes=True,
    ),
    Scenario(
        "documents.transfer",
        "Ten documents to another owner",
        "documents.transfer",
        ("DOC-8",),
        _transfer,
        floors=("floor-http",),
        writes=True,
    ),
    Scenario(
        "users.create",
        "One user",
        "users.create",
        ("USR-1",),
        _create_users,
        floors=ALL_FLOORS,
        writes=True,
    ),
    Scenario(
        "users.create_many",
        "100 users in one request",
        "users.create_many",
        ("USR-6",),
        _create_many_users,
        connections=4,
        floors=ALL_FLOORS,
        writes=True,
    ),
    Scenario(
        "documents.create_many",
        "100 documents in one request",
        "documents.create_many",
        ("DOC-5",),
        _create_many_documents,
        connections=4,
        floors=ALL_FLOORS,
        writes=True,
    ),
)
"""Reading before writing: every arm reads the same rows, as each is seeded alike and none has written yet."""
