"""The account that PostgreSQL runs under: it refuses to run as root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    def enters(self, folder: Path) -> bool:
        """Whether the account, a stranger to every folder that it does not own, can pass down to this one."""
        return all(self._passes(step) for step in (folder, *folder.parents))

    def _passes(self, folder: Path) -> bool:
        found = folder.stat()
        needed = stat.S_IXUSR if found.st_uid == self.uid else stat.S_IXOTH
        return bool(found.st_mode & needed)


def unprivileged() -> Account | None:
    """`nobody` for root, None (stay who you are) for everybody else."""
    if os.getuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account("nobody", nobody.pw_uid, nobody.pw_gid)
