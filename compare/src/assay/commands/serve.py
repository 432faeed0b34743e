"""`assay serve`: one service in this process."""

import os
import subprocess
import sys

from assay.commands.chosen import chosen


def serve(name: str, host: str, port: int) -> int:
    """The exit code of the migration where it fails; else this process becomes the service's, so that signals
    and exit code are the service's own."""
    program = [sys.executable, "-m", chosen([name])[0].module]
    failed = subprocess.run([*program, "migrate"], check=False).returncode
    if not failed:
        os.execv(sys.executable, [*program, "serve", "--host", host, "--port", str(port)])  # noqa: S606 - this interpreter
    return failed
