"""A stand that runs, with its console."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil


@dataclass(frozen=True)
class Console:
    """`url`: of its page; `restarted`: services that took the place of killed ones."""

    url: str
    process: psutil.Process
    restarted: "list[subprocess.Popen[bytes]]" = field(default_factory=list)

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """The service is killed, and afterwards one like it is started in its place."""
        killed = self._service(name)
        command, environment = killed.cmdline(), killed.environ()
        killed.kill()
        try:
            yield
        finally:
            self.restarted.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))

    def _service(self, name: str) -> psutil.Process:
        found = [child for child in self.process.children() if f"{name}_service" in child.cmdline()]
        assert len(found) == 1
        return found[0]
