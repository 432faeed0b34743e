"""Which worker runs which test: all tests of one backend in one, in their order; a parity file too."""

from collections.abc import Collection
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]


class OneWorkerPerBackend(LoadScopeScheduling):  # type: ignore[misc]
    """Tests that speak for all backends go wherever there is room, but a file of `parity/` as a whole:
    what it starts for itself, it starts once.

    xdist's own `loadgroup` writes the group into the tests' ids, which pytest no longer lets it do.
    """

    def __init__(self, config: pytest.Config, log: Any, backends: Collection[str]) -> None:
        super().__init__(config, log)
        self._backends = backends

    def _split_scope(self, nodeid: str) -> str:
        """The backend in a test's id (`test_users.py::test_name[asyncpg-…]`), else the id; in `parity/` the
        file."""
        file = nodeid.partition("::")[0]
        if "parity/" in file:
            return file
        parameters = nodeid.partition("[")[2]
        starts = (name for name in self._backends if parameters.startswith((f"{name}-", f"{name}]")))
        return next(starts, nodeid)
