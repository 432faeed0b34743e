"""The bytes of attachments in a folder: written whole or not at all, read in parts, found by their age."""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from shared.errors import Unavailable
from shared.rules.ids import new_id
from shared.settings import Settings
from shared.work.files import FileMissing, Files, open_files

MIB = 1024 * 1024
SECRET = bytes(range(32))


class Interrupted(Exception):
    pass


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Where the files of the service `any` are, below a folder whose name an URL has to escape."""
    return tmp_path / "files #1 ä" / "any" / SECRET.hex()[:16]


@pytest.fixture
async def files(room: Path) -> AsyncIterator[Files]:
    settings = Settings(files_url=room.parent.parent.as_uri())
    async with open_files(settings, "any", SECRET) as opened:
        yield opened


async def written(files: Files, *chunks: bytes) -> UUID:
    file_id = new_id()
    async with files.writing(file_id) as writing:
        for chunk in chunks:
            await writing.write(chunk)
    assert writing.size == sum(map(len, chunks))
    assert writing.sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
    return file_id


async def read(files: Files, file_id: UUID, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in files.read(file_id, start, end)])


async def found(files: Files, before: datetime) -> set[UUID]:
    return {file_id async for listed in files.older(before) for file_id in listed}


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=5)


@pytest.mark.parametrize("sizes", [[], [0], [1], [70_000], [MIB] * 3, [100_000] * 40], ids=str)
async def test_what_was_written_is_read_back(files: Files, sizes: list[int]) -> None:
    chunks = [os.urandom(size) for size in sizes]
    file_id = await written(files, *chunks)
    assert await read(files, file_id, 0, sum(sizes)) == b"".join(chunks)


async def test_a_part_is_read(files: Files) -> None:
    whole = os.urandom(3 * MIB)
    file_id = await written(files, whole)
    for start, end in ((0, 1), (5, 5), (MIB - 1, 2 * MIB + 1), (3 * MIB - 7, 3 * MIB)):
        assert await read(files, file_id, start, end) == whole[start:end]


async def test_a_reader_may_leave_before_the_end(files: Files) -> None:
    file_id = await written(files, os.urandom(3 * MIB))
    async with aclosing(files.read(file_id, 0, 3 * MIB)) as chunks:
        assert len(await anext(chunks)) < MIB


@pytest.mark.parametrize("size", [10, 3 * MIB], ids=["little", "much"])
async def test_an_error_leaves_nothing(files: Files, room: Path, size: int) -> None:
    async def write_and_fail() -> None:
        async with files.writing(new_id()) as writing:
            await writing.write(bytes(size))
            raise Interrupted

    with pytest.raises(Interrupted):
        await write_and_fail()
    assert list(room.iterdir()) == []


async def test_a_cancelled_writer_leaves_nothing(files: Files, room: Path) -> None:
    async def write_for_ever() -> None:
        async with files.writing(new_id()) as writing:
            while True:
                await writing.write(bytes(300_000))

    for pause in (0.0, 0.01, 0.05, 0.1):
        writer = asyncio.create_task(write_for_ever())
        await asyncio.sleep(pause)
        writer.cancel()
        await asyncio.wait({writer})
        assert writer.cancelled()
    assert not room.exists() or list(room.iterdir()) == []


async def test_a_missing_file_is_told_apart_from_one_that_was_cut(files: Files) -> None:
    file_id = await written(files, b"x")
    with pytest.raises(FileMissing):
        await read(files, new_id(), 0, 1)
    with pytest.raises(Unavailable):
        await read(files, file_id, 5, 10)


async def test_a_store_that_fails_is_unavailable(files: Files, room: Path) -> None:
    file_id = await written(files, b"x")
    shutil.rmtree(room)
    room.write_text("no folder any more")
    with pytest.raises(Unavailable):
        await written(files, b"x")
    await files.remove(file_id)


async def test_a_removed_file_is_gone_and_may_be_removed_again(files: Files, room: Path) -> None:
    file_id = await written(files, b"x")
    await files.remove(file_id)
    await files.remove(file_id)
    assert list(room.iterdir()) == []


async def test_files_are_found_by_their_age_and_strange_ones_are_not(files: Files, room: Path) -> None:
    old, young = await written(files, b"old"), await written(files, b"young")
    an_hour_ago = time.time() - 3_600
    os.utime(room / str(old), (an_hour_ago, an_hour_ago))
    (room / "README").write_text("somebody else's")
    assert await found(files, datetime.now(UTC) - timedelta(minutes=1)) == {old}
    assert await found(files, soon()) == {old, young}


async def test_what_a_killed_upload_left_is_removed_once_it_is_old(files: Files, room: Path) -> None:
    whole = await written(files, b"x")
    unfinished = room / f"{new_id()}#1"
    unfinished.write_bytes(b"half")
    await files.remove_unfinished(datetime.now(UTC) - timedelta(minutes=1))
    assert unfinished.exists()
    await files.remove_unfinished(soon())
    assert [path.name for path in room.iterdir()] == [str(whole)]


async def test_no_folder_is_made_before_there_is_a_file(files: Files, tmp_path: Path) -> None:
    assert await found(files, soon()) == set()
    await files.remove_unfinished(soon())
    assert list(tmp_path.iterdir()) == []


async def test_deployments_that_share_a_place_see_their_own_files_only(files: Files, room: Path) -> None:
    settings = Settings(files_url=room.parent.parent.as_uri())
    own = await written(files, b"x")
    for service, secret in (("any", bytes(32)), ("other", SECRET)):
        async with open_files(settings, service, secret) as others:
            assert await found(others, soon()) == set()
    assert await found(files, soon()) == {own}
