"""Writers that change documents whatever happens to the service, and what subscribers must have heard."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import httpx2
from api import Api
from builders import if_match, make_document, make_user
from expectations import Json, expect_document
from streams import Heard

AGAIN: Final = 0.05
"""Seconds after which a refused writer tries again."""

BACK: Final = 20.0
"""Seconds in which a restarted service or database must serve again."""


@dataclass
class Changes:
    """`documents` as they were created; `acknowledged`: when each version was answered, monotonic seconds."""

    api: Api
    documents: Sequence[Json]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: dict[tuple[str, int], float] = field(default_factory=dict)

    async def keep_changing(self, document: Json) -> None:
        """Until told to stop, or nobody answers any more."""
        path = f"/documents/{document['id']}"
        while not self.stop.is_set():
            body = {"title": str(time.monotonic_ns())}
            try:
                answer = await self.api.patch(path, json=body, headers=if_match(document))
                if answer.status_code in (412, 503, 504):
                    # the change may have happened all the same
                    answer = await self.api.get(path)
            except httpx2.TransportError:
                return
            if answer.status_code == 200:
                document = expect_document(answer)
                self.acknowledged[document["id"], document["version"]] = time.monotonic()
            else:
                assert answer.status_code in (503, 504), answer.text
                await asyncio.sleep(AGAIN)

    async def expected(self) -> set[tuple[str, int]]:
        """Each version of each document, once the service answers."""
        async with asyncio.timeout(BACK):
            while (await self.api.get("/readyz")).status_code != 200:
                await asyncio.sleep(AGAIN)
        now = [expect_document(await self.api.get(f"/documents/{one['id']}")) for one in self.documents]
        return {(one["id"], version) for one in now for version in range(1, one["version"] + 1)}


@asynccontextmanager
async def changing(api: Api, writers: int) -> AsyncIterator[Changes]:
    """Writers at work; told to stop at the end."""
    owner = await make_user(api)
    changes = Changes(api, [await make_document(api, owner) for _ in range(writers)])
    async with asyncio.TaskGroup() as tasks:
        for document in changes.documents:
            tasks.create_task(changes.keep_changing(document))
        try:
            yield changes
        finally:
            changes.stop.set()


def versions(heard: Sequence[Heard]) -> list[tuple[str, int]]:
    """Which version of what was heard, in the order that it came."""
    return [(one.data["resource_id"], one.data["version"]) for one in heard]


def out_of_order(heard: Sequence[tuple[str, int]]) -> int:
    """How often a version came after a later one of the same document.

    >>> out_of_order([("a", 1), ("b", 5), ("a", 3), ("a", 2)])
    1
    """
    latest: dict[str, int] = {}
    late = 0
    for resource_id, version in heard:
        late += version < latest.get(resource_id, 0)
        latest[resource_id] = max(version, latest.get(resource_id, 0))
    return late
