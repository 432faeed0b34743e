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
VERSION = "0.1.0"
_HERE = {"127.0.0.1", "0.0.0.0", "[::]", "[::1]"}


class StackError(Exception):
    """What the deployment could not do; the message is one line that says what to do."""


@dataclass(frozen=True)
class Stack:
    """`project` tells its containers, networks and volumes from those of another one; `environment` comes
    before the process's own and before docker/.env."""

    project: str
    secrets: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_repository(cls) -> "Stack":
        """The one that `docker compose -f docker/compose.yaml` means."""
        return cls("assay", HERE / "secrets")

    @property
    def services(self) -> Sequence[str]:
        return [*DATABASES]

    def url(self) -> str:
        """Of the gateway, which runs."""
        address, _, port = self.quiet("port", "gateway", "8080").decode().strip().rpartition(":")
        return f"http://{'localhost' if address in _HERE else address}:{port}"

    def make_secrets(self, *, renew: bool = False) -> list[str]:
        """Those that are missing, and says which; `renew`: tokens anew. Databases take their secrets once, so
        StackError where these are gone and the databases are there."""
        lost = [name for name in secret_files.OF_DATABASES if not (self.secrets / name).exists()]
        kept = {f"{self.project}_{database}" for database in DATABASES.values()}
        if lost and kept & set(docker("volume", "ls", "--quiet").split()):
            raise StackError(
                f"the databases of {self.project!r} are there, and {self.secrets} lacks {', '.join(lost)}:"
                " put the secrets back that they were made with, or remove all by `down --purge`."
            )
        return secret_files.make(self.secrets, renew=renew)

    def up(self) -> None:
        """Returns once everything is healthy. StackError names what is not."""
        check_readable(HERE)
        self.make_secrets()
        self._loud("build")
        self._loud("up", "--detach", "--wait", "--remove-orphans")

    def down(self, *, purge: bool = False) -> None:
        if purge:
            self._refuse_anothers()
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
        """As they were started before, and waits until they are healthy."""
        self.quiet("up", "--detach", "--wait", "--no-build", "--no-recreate", *services)

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

    def _refuse_anothers(self) -> None:
        """StackError where the containers were started from another checkout, whose databases these are."""
        label = "com.docker.compose.project"
        told = f'{{{{.Label "{label}.config_files"}}}}'
        started = docker("ps", "--all", "--filter", f"label={label}={self.project}", "--format", told)
        own = HERE / "compose.yaml"
        for files in started.split("\n"):
            file = files.partition(",")[0]
            if file and Path(file).resolve() != own:
                raise StackError(f"{self.project!r} was started by {file}: purge it from there.")

    def _built(self) -> list[str]:
        return [self.image(name) for name in (*self.services, "console", "load")]

    def image(self, name: str) -> str:
        return f"assay-{name}:{self._variables.get('ASSAY_TAG') or VERSION}"

    @property
    def _variables(self) -> dict[str, str]:
        return {**os.environ, "SECRETS": str(self.secrets), **self.environment}


def check_readable(folder: Path) -> None:
    """StackError where containers, whose users are not the files' owner, could not read what they mount."""
    for mounted in ("databases", "gateway", "metrics"):
        for path in (folder / mounted, *(folder / mounted).rglob("*")):
            needed = 0o005 if path.is_dir() else 0o004
            if path.stat().st_mode & needed != needed:
                raise StackError(
                    f"{path} is closed to others, and containers read it: chmod -R o+rX {folder}."
                )


def _failed(arguments: Sequence[str], said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines() or ["no reason given"]
    return f"`docker compose {' '.join(arguments[:3])} …` failed: {lines[-1][:300]}"


def docker(*arguments: str) -> str:
    """What it printed. Raises StackError."""
    ran = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise StackError(f"`docker {' '.join(arguments[:2])}` failed: {ran.stderr.strip()[:300]}")
    return ran.stdout.strip()
