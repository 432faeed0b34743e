"""Who is alarmed by a manifest, and what the system tells of a process."""

import asyncio
import os
import sys

from assay.judge.parity import DECLARED, parity_of
from assay.judge.processes import ports_to, read_process
from assay.stand.ports import HOST

ONE = {"processes": "1", "layer": "asyncpg 0.32.0", "PostgreSQL version": "18.4"}


def test_equal_arms_raise_no_alarm_and_keep_every_line() -> None:
    found = parity_of({"a": ONE, "b": ONE})
    assert found.alarms == {"a": [], "b": []}
    assert [one.name for one in found.properties] == list(ONE)
    assert not any(one.differs for one in found.properties)


def test_the_arm_in_the_minority_is_alarmed() -> None:
    found = parity_of({"a": {**ONE, "processes": "3"}, "b": ONE, "c": ONE})
    assert found.alarms == {"a": ["processes: 3, the others have 1"], "b": [], "c": []}


def test_of_two_that_differ_the_later_is_alarmed() -> None:
    found = parity_of({"a": ONE, "b": {**ONE, "processes": "2"}})
    assert found.alarms == {"a": [], "b": ["processes: 2, the others have 1"]}


def test_what_is_declared_differs_without_an_alarm() -> None:
    found = parity_of({"a": ONE, "b": {**ONE, "layer": "tortoise-orm 1.1.9"}})
    assert found.alarms == {"a": [], "b": []}
    (layer,) = [one for one in found.properties if one.name == "layer"]
    assert (layer.differs, layer.declared) == (True, DECLARED["layer"])


def test_what_an_arm_does_not_have_is_shown_and_no_difference() -> None:
    found = parity_of({"a": ONE, "b": {**ONE, "PostgreSQL version": None, "MongoDB version": "6.0"}, "c": {}})
    assert found.alarms == {"a": [], "b": [], "c": []}
    by_name = {one.name: one.values for one in found.properties}
    assert by_name["PostgreSQL version"] == {"a": "18.4", "b": None, "c": None}
    assert by_name["MongoDB version"] == {"a": None, "b": "6.0", "c": None}


async def test_a_process_is_told_by_what_it_has_loaded() -> None:
    code = "import uvloop, sys; print(flush=True); sys.stdin.read()"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    await child.stdout.readline()
    try:
        found = await read_process(child.pid, "motor")
    finally:
        await child.communicate(b"")
    assert found["processes"] == "1"
    assert (found["event loop"], found["HTTP parser"]) == ("uvloop", "in Python")
    assert found["python"] == f"Python {sys.version.split()[0]}"
    assert found["asyncpg"] is None
    assert str(found["layer"]).startswith("motor 3.")


async def test_connections_are_those_to_the_port() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(accept, HOST, 0)
    port = listener.sockets[0].getsockname()[1]
    assert ports_to(os.getpid(), port) == set()
    _, writer = await asyncio.open_connection(HOST, port)
    # the listener's own end of it is in this process as well, and is not counted
    assert ports_to(os.getpid(), port) == {writer.get_extra_info("sockname")[1]}
    writer.close()
    listener.close()
    await listener.wait_closed()
