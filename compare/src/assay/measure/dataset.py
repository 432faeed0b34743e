"""The rows that every arm holds before it is measured: the same for all, made from their numbers alone.

An arm changes only documents of its own lane, a tenth of all or a little more. They repeat from lane to lane,
so that two arms on one database can change different rows and still must answer alike.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import httpx2
import orjson

from assay.stand import StandError

USERS = 10_000
DOCUMENTS = 50_000
LANES = 10
_LEAST_LANES = 5
PERIOD = DOCUMENTS // LANES
BATCH = 1_000
_BATCH_BYTES = 8_000_000
"""Half of what a service takes in one body."""
_BESIDE_CONTENT_BYTES = 500

TAGS = tuple(f"tag-{number:03d}" for number in range(100))
_WORDS = (
    *("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf"),
    *("hotel", "india", "juliett", "kilo", "lima", "mike"),
)

LEAST_CONTENT_BYTES = 200
"""Below it there would be no room for the fields that filters and patches go by."""

ContentBytes = tuple[int, int]
"""The least and the largest content, as compact JSON; sizes between them are equally frequent."""


BUSY_OWNERS = USERS // 20
"""The first users, one in twenty, own `BUSY_DOCUMENTS` documents each, the others share the rest."""
BUSY_DOCUMENTS = 60


def busy_owners(users: int) -> int:
    return users * BUSY_OWNERS // USERS


def period_of(documents: int) -> int:
    """How many documents a lane has.

    >>> period_of(50_000), period_of(30_000), period_of(1_000)
    (5000, 5000, 200)
    """
    return max(documents // LANES, min(PERIOD, documents // _LEAST_LANES))


@dataclass(frozen=True)
class Rows:
    """The ids under which one arm's database holds the rows, in the order of their numbers."""

    users: Sequence[str]
    documents: Sequence[str]

    @property
    def busy_owners(self) -> Sequence[str]:
        return self.users[: busy_owners(len(self.users))]

    def lane(self, number: int) -> Sequence[str]:
        """The documents that one arm may change."""
        return self.documents[self._start(number) : self._start(number + 1)]

    def owned(self, owner: int, lane: int) -> Sequence[str]:
        """The documents of a busy owner, by its number, in a lane."""
        step, start = len(self.busy_owners), self._start(lane)
        end = min(self._start(lane + 1), step * BUSY_DOCUMENTS)
        return self.documents[start + (owner - start) % step : end : step]

    def _start(self, lane: int) -> int:
        start = lane * period_of(len(self.documents))
        if start > len(self.documents):
            raise StandError(
                f"{len(self.documents)} documents have no room for so many arms: compare fewer, or seed more."
            )
        return start


def owner_number(document: int, users: int = USERS) -> int:
    """
    >>> owner_number(507), owner_number(30_000)
    (7, 500)
    """
    many = busy_owners(users)
    if document < many * BUSY_DOCUMENTS:
        return document % many
    return many + (document - many * BUSY_DOCUMENTS) % (users - many)


def user(number: int) -> dict[str, Any]:
    """
    >>> user(7)
    {'email': 'user7@seed.example', 'name': 'User 7'}
    """
    return {"email": f"user{number}@seed.example", "name": f"User {number}"}


def document(number: int, period: int = PERIOD, content_bytes: ContentBytes | None = None) -> dict[str, Any]:
    """A document without its owner; about 300 bytes of content where they are not given."""
    chance = random.Random(number % period)
    title = " ".join(chance.sample(_WORDS, 4))
    content = {
        "state": chance.choice(("open", "closed", "draft")),
        "size": chance.randrange(1_000),
        "score": round(chance.random(), 6),
        "author": {"name": chance.choice(_WORDS), "active": chance.random() < 0.5},
        "text": " ".join(chance.choices(_WORDS, k=30)),
    }
    tags = chance.sample(TAGS, 3)
    if content_bytes is not None:
        content["text"] = _text(content, chance, chance.randint(*content_bytes))
    return {"title": title, "content": content, "tags": tags}


def _text(content: Mapping[str, object], chance: random.Random, size: int) -> str:
    """Words, so many that the content with them has `size` bytes as compact JSON."""
    missing = size - len(orjson.dumps({**content, "text": ""}))
    shortest = min(map(len, _WORDS)) + 1
    return " ".join(chance.choices(_WORDS, k=missing // shortest + 1))[:missing]


async def seed(
    url: str,
    on_batch: Callable[[], None],
    *,
    users: int = USERS,
    documents: int = DOCUMENTS,
    content_bytes: ContentBytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Rows:
    """Stores the rows through the API; `on_batch` hears of each of `batches()` batches, `headers` go with
    each. StandError where the service refuses them."""
    period = period_of(documents)
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        made = (user(number) for number in range(users))
        owners = await _store(client, "/users/batch", made, BATCH, on_batch)
        owned = (
            {
                **document(number, period, content_bytes),
                "owner_id": owners[owner_number(number, users)],
            }
            for number in range(documents)
        )
        stored = await _store(client, "/documents/batch", owned, _batch(content_bytes), on_batch)
    return Rows(owners, stored)


def batches(
    documents: int = DOCUMENTS, *, users: int = USERS, content_bytes: ContentBytes | None = None
) -> int:
    """
    >>> batches(), batches(50_000, content_bytes=(1_000_000, 1_000_000))
    (60, 7153)
    """
    return -(-users // BATCH) - (-documents // _batch(content_bytes))


def _batch(content_bytes: ContentBytes | None) -> int:
    if content_bytes is None:
        return BATCH
    return max(1, min(BATCH, _BATCH_BYTES // (content_bytes[1] + _BESIDE_CONTENT_BYTES)))


async def _store(
    client: httpx2.AsyncClient,
    path: str,
    rows: Iterator[dict[str, Any]],
    size: int,
    on_batch: Callable[[], None],
) -> list[str]:
    ids: list[str] = []
    while batch := list(islice(rows, size)):
        try:
            answer = await client.post(
                path, content=orjson.dumps(batch), headers={"content-type": "application/json"}
            )
        except httpx2.TransportError as error:
            raise StandError(
                f"{client.base_url} was lost while it was seeded: {error or type(error).__name__}."
            ) from error
        ids += _stored(answer)
        on_batch()
        await asyncio.sleep(0)
    return ids


def _stored(answer: httpx2.Response) -> list[str]:
    if answer.status_code == httpx2.codes.CONFLICT:
        raise StandError(
            f"{answer.url} holds the rows of a comparison already: give the service an empty database."
        )
    if answer.status_code != httpx2.codes.CREATED:
        raise StandError(
            f"{answer.url} answered {answer.status_code} instead of storing rows: {answer.text[:200]}"
        )
    return [item["id"] for item in orjson.loads(answer.content)["items"]]
