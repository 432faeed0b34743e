"""Databases in containers, for machines without a binary of their own."""

import asyncio
import secrets
from collections.abc import Callable
from typing import TypeVar

from docker.errors import DockerException
from testcontainers.core.container import DockerContainer

from assay.stand.errors import StandError
from assay.stand.mongodb import REPLICA_SET, SERVER_OPTIONS, becomes_primary, direct_client
from assay.stand.options import DatabaseKind
from assay.stand.ports import free_port
from assay.stand.postgresql import MAX_CONNECTIONS, answers
from assay.stand.server import START_SECONDS

_POSTGRESQL_IMAGE = "postgres:18"
_MONGODB_IMAGE = "mongo:8.0"

Result = TypeVar("Result")


class DockerServer:
    """One container with a fixed port, so that it is found again after a restart.

    A killed command leaves it to the reaper of testcontainers.
    """

    is_ours = True
    pid = None

    def __init__(self, kind: DatabaseKind, *, durable: bool) -> None:
        self._kind = kind
        self._durable = durable
        self._port = free_port()
        self._password = secrets.token_hex(8)
        self._container: DockerContainer | None = None
        self._host = ""
        self.alive = False

    @property
    def url(self) -> str:
        address = f"{self._host}:{self._port}"
        if self._kind == "mongodb":
            return f"mongodb://{address}/?replicaSet={REPLICA_SET}"
        return f"postgresql://app:{self._password}@{address}/postgres"

    async def create(self) -> None:
        await _in_thread(self._run)
        await self._answered()

    async def kill(self) -> None:
        await _in_thread(self._kill)
        self.alive = False

    async def start(self) -> None:
        if not self.alive:
            await _in_thread(lambda: self._running().get_wrapped_container().start())
        await self._answered()

    async def remove(self) -> None:
        if self._container is not None:
            await _in_thread(self._container.stop)

    def _run(self) -> None:
        self._container = self._described()
        self._container.start()
        host = self._container.get_container_host_ip()
        self._host = "127.0.0.1" if host == "localhost" else host

    def _kill(self) -> None:
        container = self._running().get_wrapped_container()
        container.kill()
        # the engine answers before the server is gone
        container.wait(timeout=START_SECONDS)

    def _described(self) -> DockerContainer:
        if self._kind == "mongodb":
            # The member is known by the address that clients use, so it listens on that port inside as well.
            command = ["mongod", "--replSet", REPLICA_SET, "--bind_ip_all", "--port", str(self._port)]
            container = DockerContainer(_MONGODB_IMAGE).with_command([*command, *SERVER_OPTIONS])
            return container.with_bind_ports(self._port, self._port)
        settings = [f"max_connections={MAX_CONNECTIONS}"]
        if not self._durable:
            settings += ["fsync=off", "full_page_writes=off"]
        container = DockerContainer(_POSTGRESQL_IMAGE).with_bind_ports(5432, self._port)
        container.with_envs(POSTGRES_USER="app", POSTGRES_PASSWORD=self._password, POSTGRES_DB="postgres")
        return container.with_command(
            ["postgres", *(part for setting in settings for part in ("-c", setting))]
        )

    async def _answered(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                while True:
                    if await self._answers():
                        break
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise StandError(f"The {self._kind} container does not answer: look at `docker ps -a`.") from None
        self.alive = True

    async def _answers(self) -> bool:
        if self._kind == "postgresql":
            return await answers(self.url)
        async with direct_client(self._host, self._port) as client:
            return await becomes_primary(client, self._host, self._port)

    def _running(self) -> DockerContainer:
        if self._container is None:
            raise StandError(f"The {self._kind} container was never started.")
        return self._container


async def _in_thread(call: Callable[[], Result]) -> Result:
    """A thread cannot be cancelled: its end is awaited, so that what it made can be removed."""
    task = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        # whoever cancelled tells why; that this one failed as well is no news
        task.exception()
        raise
    except (DockerException, OSError) as error:
        raise StandError(
            f"Docker failed ({' '.join(str(error).split())[:160]}): start its engine, set DATABASE_URL and "
            "MONGODB_URL, or leave --docker out to use the embedded databases."
        ) from None
