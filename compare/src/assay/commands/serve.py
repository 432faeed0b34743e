"""`assay serve`: one service in this process."""

import os
import subprocess
import sys

from assay.commands.chosen import chosen


def serve(name: str, host: str, port: int) -> int:
    """Becomes the service's process, so that its signals and its exit code are the service's own."""
    module = chosen([name])[0].module
    migrated = subprocess.run([sys.executable, "-m", module, "migrate"], check=False)
    if migrated.returncode:
        return migrated.returncode
    os.execv(sys.executable, [sys.executable, "-m", module, "serve", "--host", host, "--port", str(port)])  # noqa: S606 - the program is this interpreter
