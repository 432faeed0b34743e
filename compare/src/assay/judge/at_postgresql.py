"""What PostgreSQL tells of an arm: by its catalog, its statistics and its log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import cast

import asyncpg

_SETTINGS = (
    *("fsync", "synchronous_commit", "full_page_writes", "default_transaction_isolation"),
    *("shared_buffers", "work_mem", "effective_cache_size", "random_page_cost", "jit"),
    *("max_connections", "max_parallel_workers_per_gather", "plan_cache_mode"),
)
_BOOKKEEPING = ["alembic_version", "tortoise_migrations", "schema_migrations"]
"""Tables in which the layers' migration tools note what they did."""
_MEASURED = ["users", "documents"]
_READ = "documents"
"""Stands in the statement that all sessions ran before; what a service sends beside it is not looked at."""
_INDEXES = """
    SELECT replace(pg_get_indexdef(indexrelid), quote_ident(indexrelid::regclass::text), '…')
    FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT relname = ANY ($1)
    ORDER BY 1
"""
_SCANS = """
    SELECT relname || substring(pg_get_indexdef(indexrelid) FROM ' \\(.*$'), idx_scan
    FROM pg_stat_user_indexes WHERE relname = ANY ($1)
    UNION ALL SELECT relname || ', all rows', seq_scan FROM pg_stat_user_tables WHERE relname = ANY ($1)
"""
_SESSIONS = """
    SELECT pid, query, state, state_change, clock_timestamp() - state_change AS rested
    FROM pg_stat_activity WHERE client_port = ANY ($1) ORDER BY state_change DESC
"""

# a session reports its statistics with the first statement after a second, or when it has rested for ten
_REPORTED = 1.1
_RESTED = 10.5
_REQUESTS = 16
"""More than the five runs after which a prepared statement may get a plan for all values."""
_USED = _REQUESTS // 2
"""Scans of an index from which on the requests are said to use it: a planner looks into some as well, as long
as it still plans."""
_LOG_SECONDS = 2.0
_CUT = "..."
"""Ends a statement in the log, which shows its first hundred characters."""


class PostgreSQLView:
    def __init__(self, conn: asyncpg.Connection, log: Path | None) -> None:
        self._conn = conn
        self._log = log

    async def settings(self) -> dict[str, str]:
        """As they hold for a session of this login in this database, unless the session sets another."""
        return {name: str(await self._conn.fetchval(f"SHOW {name}")) for name in _SETTINGS}

    async def manifest(self) -> dict[str, str]:
        settings = await self.settings()
        indexes = [str(row[0]) for row in await self._conn.fetch(_INDEXES, _BOOKKEEPING)]
        digest = sha256("\n".join(indexes).encode()).hexdigest()[:12]
        size = await self._conn.fetchval("SELECT pg_database_size(current_database())")
        counts = {name: await self._conn.fetchval(f"SELECT count(*) FROM {name}") for name in _MEASURED}  # noqa: S608
        return {
            "PostgreSQL version": str(await self._conn.fetchval("SHOW server_version")),
            **{f"PostgreSQL {name}": value for name, value in settings.items()},
            "PostgreSQL indexes": f"{len(indexes)}, {digest}",
            "PostgreSQL bytes": f"{size:,}",
            **{f"rows of {name}": f"{count:,}" for name, count in counts.items()},
        }

    async def active(self, ports: Set[int]) -> frozenset[int]:
        """A session has one at a time."""
        return frozenset(row["pid"] for row in await self._sessions(ports) if row["state"] == "active")

    @asynccontextmanager
    async def held_up(self) -> AsyncIterator[None]:
        """Whatever reads documents waits meanwhile, in this database alone."""
        async with self._conn.transaction():
            await self._conn.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
            yield

    async def settle(self, ports: Set[int], ask: Callable[[int], Awaitable[None]]) -> None:
        await self._report(ports, ask, datetime.min.replace(tzinfo=UTC))

    async def plan(self, ports: Set[int], ask: Callable[[int], Awaitable[None]]) -> str | None:
        started, before = await self._now(), await self._scans()
        await ask(_REQUESTS)
        await self._report(ports, ask, started)
        grown = {name: count - before[name] for name, count in (await self._scans()).items()}
        return "; ".join(sorted(name for name, count in grown.items() if count >= _USED)) or None

    async def statements(self, ports: Set[int], ask: Callable[[int], Awaitable[None]]) -> dict[str, str]:
        """Looks into the memory of sessions that have run something else since: a statement that is not kept
        is gone by then, from all of them. One that is may be missing from some, where a wait for its table
        was given up before it was prepared. Only a server of our own lets us."""
        if self._log is None:
            return {}
        before = {row["pid"]: str(row["query"]) for row in await self._sessions(ports)}
        await ask(_REQUESTS)
        found: dict[str, str] = {}
        for row in await self._sessions(ports):
            earlier = before.get(row["pid"], "")
            if _READ in earlier and earlier != row["query"]:
                if _alike(earlier).startswith(tuple(await self._kept(self._log, row["pid"]))):
                    return {"PostgreSQL statements": "stay prepared"}
                found = {"PostgreSQL statements": "are prepared anew each time"}
        return found

    async def written(self, ask: Callable[[int], Awaitable[None]]) -> dict[str, str]:
        """Nothing beyond the settings is visible from outside."""
        return {}

    async def _sessions(self, ports: Set[int]) -> list[asyncpg.Record]:
        return await self._conn.fetch(_SESSIONS, list(ports))

    async def _report(self, ports: Set[int], ask: Callable[[int], Awaitable[None]], since: datetime) -> None:
        """All that the arm's sessions did since then is counted after this. The one that was used last takes
        the next request, and reports with it; where another was used as well, it has to rest."""
        await asyncio.sleep(_REPORTED)
        asked = await self._now()
        await ask(1)
        silent = [row for row in await self._sessions(ports) if since < row["state_change"] < asked]
        rested = min((row["rested"].total_seconds() for row in silent), default=_RESTED)
        await asyncio.sleep(max(0.0, _RESTED - rested))

    async def _now(self) -> datetime:
        return cast(datetime, await self._conn.fetchval("SELECT clock_timestamp()"))

    async def _scans(self) -> dict[str, int]:
        return {str(name): int(count) for name, count in await self._conn.fetch(_SCANS, _MEASURED)}

    async def _kept(self, log: Path, pid: int) -> set[str]:
        """How the statements begin that a session holds plans of, as the server logs its memory."""
        start = _logged(log, 0)[0]
        await self._conn.execute("SELECT pg_log_backend_memory_contexts($1)", pid)
        mark = f"[{pid}] LOG:  "
        async with asyncio.timeout(_LOG_SECONDS):
            while True:
                _, text = _logged(log, start)
                lines = [line.partition(mark)[2] for line in text.splitlines() if mark in line]
                if any(line.startswith("Grand total") for line in lines):
                    return {
                        _alike(line.partition(" used: ")[2].removesuffix(_CUT))
                        for line in lines
                        if "CachedPlanSource" in line
                    }
                await asyncio.sleep(0.02)


def _logged(log: Path, start: int) -> tuple[int, str]:
    """Where the log ends, and what it says from `start` on."""
    with log.open("rb") as file:
        file.seek(start)
        text = file.read()
    return start + len(text), text.decode(errors="replace")


def _alike(statement: str) -> str:
    return " ".join(statement.split())


@asynccontextmanager
async def open_postgresql(url: str, log: Path | None) -> AsyncIterator[PostgreSQLView]:
    conn = await asyncpg.connect(url, timeout=5)
    try:
        yield PostgreSQLView(conn, log)
    finally:
        await conn.close(timeout=5)
