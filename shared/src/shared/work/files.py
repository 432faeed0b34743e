"""The bytes of attachments (FIL), in a folder or an object store, told apart by nothing but FILES_URL."""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname
from uuid import UUID

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from shared.errors import Unavailable
from shared.rules.ids import parse_id
from shared.settings import Settings

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ObjectStore

_log = logging.getLogger("assay.files")

_BLOCK_BYTES = 1024 * 1024
"""What is hashed and written at once."""
_PART_BYTES = 5 * 1024 * 1024
"""The least that S3 takes as a part of an upload but the last one."""
_CHUNK_BYTES = 256 * 1024
_INLINE_BYTES = 64 * 1024
"""Up to which hashing takes less than handing it to a thread."""
_LISTED = 500


class FileMissing(Exception):
    """There is no such file."""


class Writing:
    """A file that is being written. `size` and `sha256` are those of all that was written."""

    def __init__(self, writer: "AsyncWritableFile") -> None:
        self.size = 0
        self._writer = writer
        self._digest = hashlib.sha256()
        self._gathered = bytearray()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    async def write(self, chunk: bytes) -> None:
        self._gathered += chunk
        if len(self._gathered) >= _BLOCK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        block = bytes(self._gathered)
        self._gathered.clear()
        self.size += len(block)
        if len(block) <= _INLINE_BYTES:
            self._digest.update(block)
        else:
            await asyncio.to_thread(self._digest.update, block)
        await self._writer.write(block)


class Files:
    """Files by the ids of their attachments. Raises Unavailable where the store fails."""

    def __init__(self, place: "Path | ObjectStore") -> None:
        self._place = place

    @cached_property
    def _store(self) -> "ObjectStore":
        return LocalStore(self._place, mkdir=True) if isinstance(self._place, Path) else self._place

    @asynccontextmanager
    async def writing(self, file_id: UUID) -> AsyncIterator[Writing]:
        """A new file, there when the block ends; an error inside leaves nothing of it."""
        local = isinstance(self._place, Path)
        with _failing():
            writer = obstore.open_writer_async(
                self._store,
                str(file_id),
                buffer_size=_BLOCK_BYTES if local else _PART_BYTES,
                max_concurrency=1,
            )
            async with writer:
                taken = Writing(writer)
                yield taken
                await taken.flush()

    async def read(self, file_id: UUID, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `end`, the next ones when they are asked for. Raises FileMissing."""
        if start == end:
            return
        with _failing():
            try:
                found = await obstore.get_async(self._store, str(file_id), options={"range": (start, end)})
            except FileNotFoundError as error:
                raise FileMissing from error
            async for chunk in found.stream(min_chunk_size=_CHUNK_BYTES):
                yield bytes(chunk)

    async def remove(self, file_id: UUID) -> None:
        """Removes the file, if it is there. What fails is the sweeper's to do again."""
        try:
            await obstore.delete_async(self._store, str(file_id))
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            _log.warning("the file %s is left to the sweeper: %s", file_id, _reason(error))

    async def older(self, before: datetime) -> AsyncIterator[Sequence[UUID]]:
        """The ids of the files that were written before, in sets."""
        if self._is_unused():
            return
        with _failing():
            async for listed in obstore.list(self._store, chunk_size=_LISTED):
                found = (parse_id(entry["path"]) for entry in listed if entry["last_modified"] < before)
                yield [file_id for file_id in found if file_id is not None]

    async def remove_unfinished(self, before: datetime) -> None:
        """Removes what a process that was killed amid an upload left. An object store does this itself, by
        its rule for unfinished uploads."""
        if isinstance(self._place, Path) and not self._is_unused():
            await asyncio.to_thread(_remove_unfinished, self._place, before.timestamp())

    def _is_unused(self) -> bool:
        return isinstance(self._place, Path) and not self._place.exists()


@asynccontextmanager
async def open_files(settings: Settings, service: str, secret: bytes) -> AsyncIterator[Files]:
    """The deployment's own files: the `secret` is stored with its rows, so that two that share a FILES_URL
    never sweep each other's. Raises ValueError for a bucket that the environment describes wrongly."""
    yield Files(_place(settings, f"{service}/{secret.hex()[:16]}"))


def _place(settings: Settings, folder: str) -> "Path | ObjectStore":
    url = settings.files_url
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _folder(Path(url2pathname(parts.path)) / folder)
    try:
        return from_url(
            f"{url.rstrip('/')}/{folder}",
            # whoever names an endpoint says whether it is http; a reader may take long over a whole file, but
            # the next piece of it must not
            client_options={
                "allow_http": True,
                "timeout": timedelta(days=1),
                "read_timeout": timedelta(seconds=settings.stall_timeout),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=settings.request_timeout / 3)},
        )
    except (BaseError, ValueError, TypeError) as error:
        raise ValueError(
            f"FILES_URL, or what the environment says of its bucket: {_reason(error)}"
        ) from error


def _folder(path: Path) -> Path:
    # it is made with the first file: a service that never gets one need not be able to
    nearest = next(parent for parent in (path, *path.parents) if os.access(parent, os.F_OK))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        _log.warning("no attachment can be stored: set FILES_URL to a folder that may be written")
    return path


def _remove_unfinished(folder: Path, before: float) -> None:
    # the store writes `<id>#<number>`, lists no such name, and renames it when the file is whole
    for path in folder.glob("*#*"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        _log.error("the file store failed: %s", _reason(error))
        raise Unavailable from error


def _reason(error: Exception) -> str:
    # the lines after the first one repeat it with the store's inside
    return str(error).partition("\n")[0]
