"""docker/metrics, by Prometheus's own tool: it takes the files, and alerts fire when they should."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

METRICS: Final = Path(__file__).parents[2] / "docker" / "metrics"
PROMTOOL: Final = os.environ.get("PROMTOOL") or shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="it comes with Prometheus (PROMTOOL names it elsewhere)")
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("check", "rules", "rules.yml", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_takes_its_files_and_alerts_fire_when_they_should(command: tuple[str, ...]) -> None:
    ran = subprocess.run([str(PROMTOOL), *command], cwd=METRICS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
