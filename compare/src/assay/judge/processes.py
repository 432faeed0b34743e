"""What the operating system tells of an arm that runs: its processes, what they have loaded, their sockets.

Nothing is asked of the arm itself, so nothing that it believes of itself is repeated.
"""

import asyncio
import re
from collections.abc import Sequence
from importlib.metadata import Distribution
from pathlib import Path

import psutil

_SERVER = ("uvicorn", "fastapi", "starlette", "pydantic")
_COMPILED = ("uvloop", "httptools", "orjson", "asyncpg", "pymongo")
"""Told of where a process has loaded their machine code, not where they only lie about."""
_PACKAGE = re.compile(r"(?P<site>/.*/(?:site|dist)-packages)/(?P<name>[^/]+)/")


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def read_process(pid: int, layer: str) -> dict[str, str | None]:
    """`layer` is the distribution that is compared. What needs /proc is None elsewhere."""
    members = family(pid)
    loaded = {match for member in members for match in _loaded(member.pid)}
    packages = {name for _, name in loaded}
    site = next((site for site, _ in sorted(loaded)), None)
    found = {name: _version(name, site) for name in (*_SERVER, *_COMPILED)}
    return {
        "processes": str(len(members)),
        "cores": _cores(members),
        "python": await _python(members[0]),
        "event loop": None if site is None else "uvloop" if "uvloop" in packages else "asyncio",
        "HTTP parser": None if site is None else "httptools" if "httptools" in packages else "in Python",
        **{name: found[name] for name in _SERVER},
        **{name: found[name] if name in packages else None for name in _COMPILED},
        "layer": f"{layer} {_version(layer, site) or ''}".strip(),
    }


def ports_to(pid: int, port: int) -> set[int]:
    """The local ports from which an arm's processes are connected to a database's port."""
    return {
        socket.laddr.port
        for member in family(pid)
        for socket in member.net_connections("tcp")
        if socket.status == psutil.CONN_ESTABLISHED and socket.raddr and socket.raddr.port == port
    }


def _loaded(pid: int) -> set[tuple[str, str]]:
    """Where the machine code in the process comes from: folder of packages, and package."""
    maps = Path(f"/proc/{pid}/maps")
    text = maps.read_text(encoding="utf-8") if maps.exists() else ""
    return {(match["site"], match["name"]) for match in _PACKAGE.finditer(text)}


def _version(name: str, site: str | None) -> str | None:
    """In the environment that the process runs from, which need not be ours."""
    if site is None:
        return None
    found = next(iter(Distribution.discover(name=name, path=[site])), None)
    return None if found is None else found.version


def _cores(members: Sequence[psutil.Process]) -> str | None:
    if not hasattr(members[0], "cpu_affinity"):
        return None
    return ", ".join(map(str, sorted({core for member in members for core in member.cpu_affinity()})))


async def _python(process: psutil.Process) -> str:
    """Of the program itself: the version that it prints."""
    asked = await asyncio.create_subprocess_exec(
        process.exe(), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await asked.communicate()
    return printed.decode().strip()
