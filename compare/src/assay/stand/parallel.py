"""Several starts or stops at once."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

Result = TypeVar("Result")


async def all_or_none(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Their results in order; at the first failure the others are cancelled and awaited, and it is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


async def all_in_any_case(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """For stopping: each runs to its end whatever happens to the others, then the first failure is raised."""
    outcomes = await asyncio.gather(*coroutines, return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
