"""The rows of a workload in a running service: whether they are there, and under which ids."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

from assay.measure import dataset
from assay.measure.dataset import Rows
from assay.stand import StandError

_log = logging.getLogger(__name__)
# a line for each page that is read would be all that Locust's page shows
logging.getLogger("httpx2").setLevel(logging.WARNING)

_TOKEN_FILE = Path("/run/secrets/load_token")
_PAGE = 200
_LEAST = 1_000
"""Of users and of documents: what a workload has at least."""


class Stored(NamedTuple):
    """Ids in the order in which they were stored, and the ETag of each document."""

    rows: Rows
    tags: dict[str, str]


def authorization() -> Mapping[str, str]:
    """From LOAD_TOKEN or the secret of that name; nothing where the service wants no token."""
    token = os.environ.get("LOAD_TOKEN")
    if not token and _TOKEN_FILE.is_file():
        token = _TOKEN_FILE.read_text(encoding="utf-8").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def are_stored(url: str) -> bool:
    """Whether seeding has begun there. StandError where nobody answers."""
    with _client(url) as client:
        return bool(_get(client, f"/users?q={dataset.user(0)['email']}")["items"])


def read(url: str) -> Stored:
    """StandError where they are not all there. Tells how many there are, as that takes seconds."""
    began = time.monotonic()
    with _client(url) as client:
        emails = {user["id"]: user["email"] for user in _walk(client, "/users")}
        users = [user for user, email in emails.items() if email.endswith("@seed.example")]
        owners = set(users)
        # those that a load has created count as well, as they have such owners
        tags = {
            document["id"]: f'"{document["version"]}"'
            for document in _walk(client, "/documents")
            if document["owner_id"] in owners
        }
    if min(len(users), len(tags)) < _LEAST:
        raise StandError(
            f"{url} holds {len(users)} users and {len(tags)} documents of a workload: "
            "seed an empty database with docker/load/seed.py."
        )
    spent = time.monotonic() - began
    _log.info("%d users and %d documents are there, read in %.1f s", len(users), len(tags), spent)
    return Stored(Rows(users, list(tags)), tags)


def _client(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers=authorization(), timeout=60, trust_env=False)


def _walk(client: httpx2.Client, path: str) -> Iterator[dict[str, Any]]:
    """The oldest first."""
    cursor = ""
    while True:
        page = _get(client, f"{path}?sort=created_at&limit={_PAGE}{cursor}")
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def _get(client: httpx2.Client, path: str) -> dict[str, Any]:
    try:
        answer = client.get(path)
    except (httpx2.TransportError, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise StandError(f"{client.base_url}: nothing answers there ({error}).") from None
    if answer.status_code != httpx2.codes.OK:
        raise StandError(f"{answer.url} answered {answer.status_code}: {answer.text[:200]}")
    found: dict[str, Any] = answer.json()
    return found
