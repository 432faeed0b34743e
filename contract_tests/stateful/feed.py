"""The change feed as one service sends it, and what it must have sent."""

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

import httpx2

SOON: Final = 20.0
"""Seconds within which a change must have come; silence that long fails too."""


class Change(NamedTuple):
    """An event, with names for ids."""

    type: str
    resource: str
    owner: str
    version: int


def head(client: httpx2.Client) -> str:
    """The id to resume after for all that comes from now on."""
    with closing(_blocks(client, None)) as blocks:
        return next(blocks)["id"]


def changes(
    client: httpx2.Client, after: str, mark: str, names: Mapping[str, str]
) -> tuple[list[Change], str]:
    """The named rows' events after an id, before the first one of the row `mark`; and the id of that one."""
    found: list[Change] = []
    deadline = time.monotonic() + SOON
    with closing(_blocks(client, after)) as blocks:
        for block in blocks:
            assert time.monotonic() < deadline, f"EVT-2: no event of {mark} in {SOON:g} s"
            if "data" not in block:
                continue
            event = json.loads(block["data"])
            assert block["event"] == event.get("type"), f"EVT-3: {block} after {after}"
            if event["resource_id"] == mark:
                return found, event["id"]
            if names.keys() & {event["resource_id"], event["owner_id"]}:
                found.append(_change(event, names))
    raise AssertionError(f"EVT-3: the stream was over before the event of {mark}")


def check(heard: Sequence[Change], expected: Sequence[Sequence[Change]]) -> None:
    """Each expected change came once, and no other. What one write changed may come in any order."""
    came = list(heard)
    for group in expected:
        part, came = came[: len(group)], came[len(group) :]
        assert sorted(part) == sorted(group), f"EVT-2: {part} instead of {list(group)}, then {came}"
    assert not came, f"EVT-2: {came} beside what was changed"


def _change(event: Mapping[str, Any], names: Mapping[str, str]) -> Change:
    resource, owner = (f"<{names.get(event[one], 'unknown')}>" for one in ("resource_id", "owner_id"))
    return Change(event["type"], resource, owner, event["version"])


def _blocks(client: httpx2.Client, after: str | None) -> Generator[dict[str, str], None, None]:
    headers = {} if after is None else {"Last-Event-ID": after}
    with client.stream("GET", "/events", headers=headers, timeout=SOON) as response:
        assert response.status_code == 200, f"EVT-1: /events → {response.status_code}"
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            else:
                yield fields
                fields = {}
