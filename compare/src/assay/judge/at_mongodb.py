"""What MongoDB tells of an arm: by its catalog, the operations under way, and its profiler."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from shared.settings import database_of

Row = dict[str, Any]

_MEASURED = ("users", "documents")
_OFF, _ALL = 0, 2
_PROFILE = "system.profile"

_TICKETS = "wiredTigerConcurrentReadTransactions"
_FEWEST_TICKETS = 5
"""A server takes no smaller number."""
_SLEEP = "sleep(2000) || true"
"""Of a reader that keeps its ticket; longer than the looks take."""
_ASLEEP_SECONDS = 0.1


class MongoDBView:
    def __init__(self, client: AsyncMongoClient[Row], database: AsyncDatabase[Row], *, ours: bool) -> None:
        self._client = client
        self._database = database
        self._ours = ours

    async def settings(self) -> dict[str, str]:
        status = await self._client.admin.command("serverStatus")
        concern = await self._client.admin.command("getDefaultRWConcern")
        return {
            "storage engine": str(status["storageEngine"]["name"]),
            "journal": str(status["storageEngine"]["persistent"]),
            "default write concern": str(concern.get("defaultWriteConcern", {}).get("w")),
            "default read concern": str(concern.get("defaultReadConcern", {}).get("level")),
        }

    async def manifest(self) -> dict[str, str]:
        settings = await self.settings()
        indexes = sorted([found async for found in self._indexes()])
        digest = sha256("\n".join(indexes).encode()).hexdigest()[:12]
        size = await self._database.command("dbStats")
        counts = {name: await self._database[name].count_documents({}) for name in _MEASURED}
        return {
            "MongoDB version": str((await self._client.admin.command("buildInfo"))["version"]),
            **{f"MongoDB {name}": value for name, value in settings.items()},
            "MongoDB indexes": f"{len(indexes)}, {digest}",
            "MongoDB bytes": f"{int(size['totalSize']):,}",
            **{f"rows of {name}": f"{count:,}" for name, count in counts.items()},
        }

    async def active(self, ports: Set[int]) -> frozenset[int]:
        found = await self._operations(ports)
        return frozenset(
            row["opid"] for row in found if row["active"] and "hello" not in row.get("command", {})
        )

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """No lock holds up a reader here; but it needs a ticket, and readers that sleep have them all. A
        server that is not ours serves others as well, and newer ones give out tickets as they like: there
        nothing is held, and only reads that take long enough are seen."""
        tickets = await self._tickets() if self._ours else None
        if tickets is None or not await self._give_out(_FEWEST_TICKETS):
            yield
            return
        asleep = [asyncio.ensure_future(self._sleep()) for _ in range(_FEWEST_TICKETS)]
        try:
            await asyncio.sleep(_ASLEEP_SECONDS)
            yield
        finally:
            await self._give_out(tickets)
            await asyncio.gather(*asleep)

    async def settle(self, ports: Set[int], ask: Callable[[int], Awaitable[None]]) -> None:
        """The profiler knows nothing of before."""

    async def plan(self, ports: Set[int], ask: Callable[[int], Awaitable[None]]) -> str | None:
        profile = await self._profiled(ask)
        used = {f"{_collection(row)}: {row['planSummary']}" for row in profile if "planSummary" in row}
        return "; ".join(sorted(used)) or None

    async def statements(self, ports: Set[int], ask: Callable[[int], Awaitable[None]]) -> dict[str, str]:
        """It has no prepared statements."""
        return {}

    async def written(self, ask: Callable[[int], Awaitable[None]]) -> dict[str, str]:
        profile = await self._profiled(ask)
        asked = [row["writeConcern"] for row in profile if "findAndModify" in row.get("command", {})]
        asked += [row["writeConcern"] for row in profile if row["op"] in ("update", "insert", "remove")]
        shown = {f"w={one.get('w')}, j={one.get('j', 'as the server has it')}" for one in asked}
        return {"MongoDB write concern": "; ".join(sorted(shown))} if shown else {}

    async def _indexes(self) -> AsyncIterator[str]:
        for name in await self._database.list_collection_names():
            if not name.startswith("system."):
                for one in (await self._database[name].index_information()).values():
                    yield f"{name} {sorted(one.items(), key=lambda item: item[0])}"

    async def _operations(self, ports: Set[int]) -> list[Row]:
        stage = {"$currentOp": {"allUsers": True, "idleConnections": True}}
        found = await self._client.admin.aggregate([stage])
        return [row async for row in found if _port(row) in ports]

    async def _tickets(self) -> int | None:
        """How many there are for readers; None where the server does not say it like this."""
        status = await self._client.admin.command("serverStatus")
        read = status.get("wiredTiger", {}).get("concurrentTransactions", {}).get("read", {})
        return int(read["totalTickets"]) if "totalTickets" in read else None

    async def _give_out(self, tickets: int) -> bool:
        try:
            await self._client.admin.command({"setParameter": 1, _TICKETS: tickets})
        except OperationFailure:
            return False
        return True

    async def _sleep(self) -> None:
        """As the first of the rows is looked at; not at all on a server without JavaScript."""
        with suppress(OperationFailure):
            await self._database["users"].find_one({"$where": _SLEEP})

    async def _profiled(self, ask: Callable[[int], Awaitable[None]]) -> list[Row]:
        """What the requests made the server do on the rows that are measured."""
        await self._database.command("profile", _ALL)
        try:
            await ask(1)
        finally:
            await self._database.command("profile", _OFF)
        rows = [row async for row in self._database[_PROFILE].find() if _collection(row) in _MEASURED]
        await self._database.drop_collection(_PROFILE)
        return rows


def _collection(row: Row) -> str:
    return str(row["ns"]).partition(".")[2]


def _port(row: Row) -> int | None:
    _, _, port = str(row.get("client", "")).rpartition(":")
    return int(port) if port else None


@asynccontextmanager
async def open_mongodb(url: str, *, ours: bool) -> AsyncIterator[MongoDBView]:
    async with AsyncMongoClient[Row](
        url, uuidRepresentation="standard", serverSelectionTimeoutMS=5_000
    ) as client:
        yield MongoDBView(client, client[database_of(url) or "admin"], ours=ours)
