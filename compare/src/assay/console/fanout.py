"""The same request to all backends at once; each answer is told as soon as it is there."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator

from pydantic import BaseModel

from assay.console.answers import Shown, Wanted, answer_of, since
from assay.console.backends import Backend, Fleet, cancelled_and_awaited
from assay.console.differences import Difference, differences
from assay.console.rows import NoRows, Rows


class Judged(BaseModel):
    """An answer held against the first backend's; `differences` is None where there is nothing to hold
    against: it is the first one's own, or the first backend gave none. `beginning`: one of the two bodies was
    cut, so only their beginnings were compared."""

    backend: str
    differences: list[Difference] | None
    beginning: bool


class Judgement(BaseModel):
    """The last of a fan-out; `baseline` is the first backend that answered."""

    baseline: str | None
    judged: list[Judged]


async def ask_all(fleet: Fleet, rows: Rows, wanted: Wanted) -> AsyncGenerator[Shown | Judgement]:
    """Answers in the order of their arrival, then what they differ in. Whoever stops reading ends all."""
    unique = secrets.token_hex(4)
    tasks = [
        asyncio.create_task(ask(fleet, rows, backend, wanted, unique)) for backend in fleet.backends.values()
    ]
    shown: dict[str, Shown] = {}
    try:
        for next_one in asyncio.as_completed(tasks):
            answer = await next_one
            shown[answer.backend] = answer
            yield answer
    finally:
        await cancelled_and_awaited(tasks)
    yield judgement(fleet, shown)


async def ask(fleet: Fleet, rows: Rows, backend: Backend, wanted: Wanted, unique: str) -> Shown:
    """With this backend's own rows in the request."""
    begun = time.perf_counter()
    try:
        # making rows is four requests: together they have what the one that follows has
        async with asyncio.timeout(wanted.timeout):
            filled = await rows.filled(backend, wanted, unique)
    except NoRows as error:
        return Shown(backend=backend.name, ms=since(begun), failure=str(error))
    except TimeoutError:
        return Shown(backend=backend.name, ms=since(begun), failure="no example rows in time")
    shown = await answer_of(fleet, backend, filled.wanted)
    rows.learn(backend, filled, shown)
    return shown


def judgement(fleet: Fleet, shown: dict[str, Shown]) -> Judgement:
    baseline = next((name for name in fleet.backends if shown[name].status is not None), None)
    return Judgement(
        baseline=baseline,
        judged=[
            Judged(
                backend=name,
                differences=None
                if baseline is None or name == baseline
                else differences(shown[baseline], shown[name]),
                beginning=shown[name].cut or (baseline is not None and shown[baseline].cut),
            )
            for name in fleet.backends
        ],
    )
