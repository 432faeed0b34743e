"""One deployment of docker/compose.yaml: its containers, addresses and secrets."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import secret_files

HERE = Path(__file__).resolve().parent
DATABASES = {
    "sqlalchemy": "postgresql",
    "asyncpg": "postgresql",
    "tortoise": "postgresql",
    "motor": "mongodb",
}
"""Each service's."""


class StackError(Exception):
    """What the deployment could not do; the message is one line that says what to do."""


@dataclass(frozen=True)
class Stack:
    """`project` tells its containers, networks and volumes from those of another one."""

    project: str
    secrets: Path
    address: str
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_repository(cls) -> "Stack":
        """The one that `docker compose -f docker/compose.yaml` means."""
        port = os.environ.get("GATEWAY_PORT") or "8080"
        if not port.isdigit():
            raise StackError(f"GATEWAY_PORT must be a port, and is {port!r}.")
        address = os.environ.get("GATEWAY_ADDRESS") or "127.0.0.1"
        return cls("assay", HERE / "secrets", address, int(port))

    @property
    def services(self) -> Sequence[str]:
        return [*DATABASES]

    @property
    def url(self) -> str:
        host = "localhost" if self.address in {"127.0.0.1", "0.0.0.0"} else self.address
        return f"http://{host}:{self.port}"

    def up(self) -> None:
        """Returns once everything is healthy. StackError names what is not."""
        secret_files.make(self.secrets)
        self._loud("build")
        self._loud("up", "--detach", "--wait", "--remove-orphans")

    def down(self, *, purge: bool = False) -> None:
        # profiles too: what is beside the services is the deployment's as well
        every = ("--profile", "*", "down", "--remove-orphans")
        self._loud(*every, *(("--volumes", "--rmi", "local") if purge else ()))
        if purge:
            for image in self._built():
                subprocess.run(["docker", "image", "rm", image], capture_output=True, check=False)
            shutil.rmtree(self.secrets, ignore_errors=True)

    def follow(self, services: Sequence[str]) -> int:
        try:
            return subprocess.run(
                self.command("logs", "--follow", "--tail", "100", *services), env=self._variables, check=False
            ).returncode
        except KeyboardInterrupt:
            return 0

    def start(self, *services: str) -> None:
        """Also waits until they are healthy."""
        self.quiet("up", "--detach", "--wait", "--no-build", *services)

    def quiet(
        self, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> bytes:
        """What the command printed, unless it went into `stdout`. StackError with its last line."""
        ran = subprocess.run(
            self.command(*arguments),
            env=self._variables,
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        if ran.returncode != 0:
            raise StackError(_failed(arguments, ran.stderr))
        return ran.stdout or b""

    def command(self, *arguments: str) -> list[str]:
        return ["docker", "compose", "-p", self.project, "-f", str(HERE / "compose.yaml"), *arguments]

    def container(self, service: str) -> str:
        """Its id, also where it has ended."""
        found = self.quiet("ps", "--all", "--quiet", service).decode().strip()
        if not found:
            raise StackError(f"{service} has no container: run `just deploy up` first.")
        return found

    def _loud(self, *arguments: str) -> None:
        ran = subprocess.run(self.command(*arguments), env=self._variables, check=False)
        if ran.returncode != 0:
            raise StackError(f"`docker compose {arguments[0]}` failed: see above, and `just deploy logs`.")

    def _built(self) -> list[str]:
        return [f"assay-{name}:0.1.0" for name in (*self.services, "console")]

    @property
    def _variables(self) -> dict[str, str]:
        own = {
            "SECRETS": str(self.secrets),
            "GATEWAY_ADDRESS": self.address,
            "GATEWAY_PORT": str(self.port),
        }
        return {**os.environ, **own, **self.environment}


def _failed(arguments: Sequence[str], said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return f"`docker compose {' '.join(arguments[:3])} …` failed: {lines[-1][:300]}"
