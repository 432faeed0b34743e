"""mongod from a plain binary as a replica set of one, and what the stand asks of any MongoDB."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, OperationFailure

from assay.stand.binaries import mongod_program
from assay.stand.errors import PortTakenError, StandError
from assay.stand.folder import RunFolder
from assay.stand.options import StandOptions
from assay.stand.ports import HOST, on_free_port
from assay.stand.process import Child, Ending
from assay.stand.server import START_SECONDS

REPLICA_SET = "rs0"
# What a transaction has written stays in the cache until it ends: in a quarter of it, large batches that come
# at once make each other start over. What clients resume from stays for the contract's day.
SERVER_OPTIONS = ("--wiredTigerCacheSizeGB", "1", "--oplogMinRetentionHours", "24")
# A clean stop waits a second for clients to leave, which a temporary database need not.
_KEEP = Ending(signal.SIGTERM, 3.0)
_DISCARD = Ending(signal.SIGKILL, 0.0)
_UNAUTHORIZED, _NOT_YET_INITIALIZED = 13, 94
# Not yet or already initialised, shutting down, interrupted, not primary (any more, or not yet).
_ON_THE_WAY = {_NOT_YET_INITIALIZED, 23, 91, 189, 10107, 11600, 11602, 13435, 13436}

Client = AsyncMongoClient[dict[str, Any]]


class EmbeddedMongod:
    """A server of our own on a loopback port, without a login."""

    is_ours = True

    def __init__(self, folder: RunFolder, command: list[str], port: int, ending: Ending) -> None:
        self.url = f"mongodb://{HOST}:{port}/?replicaSet={REPLICA_SET}"
        self._folder = folder
        self._command = [*command, "--port", str(port)]
        self._port = port
        self._ending = ending
        self._child = self._spawn()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    async def ready(self) -> None:
        async with direct_client(HOST, self._port) as client:
            await self._child.ready(
                self._port, lambda: becomes_primary(client, HOST, self._port), START_SECONDS
            )

    async def kill(self) -> None:
        await self._child.kill(0.0)

    async def start(self) -> None:
        if not self.alive:
            self._child = self._spawn()
        await self.ready()

    def _spawn(self) -> Child:
        return self._folder.spawn("mongodb", self._command, os.environ, ending=self._ending)


async def start_mongod(folder: RunFolder, options: StandOptions) -> EmbeddedMongod:
    path = (options.data or folder.path) / "mongodb"
    path.mkdir(exist_ok=True)
    command = [str(mongod_program()), "--dbpath", str(path), "--replSet", REPLICA_SET, "--bind_ip", HOST]
    command += ["--nounixsocket", *SERVER_OPTIONS]
    ending = _KEEP if options.data else _DISCARD

    async def start(port: int) -> EmbeddedMongod:
        server = EmbeddedMongod(folder, command, port, ending)
        try:
            await server.ready()
        except PortTakenError:
            raise
        except StandError as error:
            raise StandError(f"{error} Set MONGOD_BIN or MONGODB_URL, or use --docker.") from None
        return server

    return await on_free_port(start)


@asynccontextmanager
async def direct_client(host: str, port: int) -> AsyncIterator[Client]:
    """To this very server, whatever its replica set says; connects at its first command."""
    client: Client = AsyncMongoClient(
        host, port, directConnection=True, serverSelectionTimeoutMS=5_000, connect=False
    )
    try:
        yield client
    finally:
        await client.close()


async def becomes_primary(client: Client, host: str, port: int) -> bool:
    """One step on the way to a writable replica set of this one member; true when it is there."""
    member = f"{host}:{port}"
    try:
        hello = await client.admin.command("hello")
        if hello["isWritablePrimary"]:
            return True
        await _configure(client, member)
    except ConnectionFailure:
        return False
    except OperationFailure as error:
        if error.code not in _ON_THE_WAY:
            raise StandError(f"mongod refuses its replica set: {str(error)[:200]}") from None
    return False


async def _configure(client: Client, member: str) -> None:
    """A new server gets its set; kept data that were served on another port get the new address."""
    try:
        found = await client.admin.command("replSetGetConfig")
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]}
        await client.admin.command("replSetInitiate", config)
        return
    config = found["config"]
    if config["members"][0]["host"] != member:
        config["members"][0]["host"] = member
        config["version"] += 1
        await client.admin.command("replSetReconfig", config, force=True)


async def drop_database(url: str, name: str) -> None:
    async with _client(url) as client:
        await client.drop_database(name)


async def inspect(url: str) -> tuple[str, bool | None]:
    """The server's version, and whether its storage engine keeps what is written: None if not ours to see."""
    async with _client(url) as client:
        hello = await client.admin.command("hello")
        if "setName" not in hello and hello.get("msg") != "isdbgrid":
            raise StandError("MONGODB_URL must lead to a replica set: start mongod with --replSet.")
        version = str((await client.admin.command("buildInfo"))["version"])
        try:
            status = await client.admin.command("serverStatus")
        except OperationFailure as error:
            if error.code != _UNAUTHORIZED:
                raise
            return version, None
        return version, bool(status["storageEngine"]["persistent"])


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[Client]:
    try:
        client: Client = AsyncMongoClient(url, serverSelectionTimeoutMS=10_000)
    except (ConfigurationError, InvalidURI, ValueError) as error:
        raise StandError(f"MONGODB_URL cannot be used: {error}") from None
    try:
        yield client
    except (ConnectionFailure, OperationFailure) as error:
        raise StandError(f"MongoDB does not answer, check MONGODB_URL: {str(error)[:200]}") from None
    finally:
        await client.close()
