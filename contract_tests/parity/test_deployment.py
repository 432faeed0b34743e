"""docker/: the four are deployed alike, nothing but the gateway is published, secrets are made once."""

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from shared.http.access import Access

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "docker" / "deploy.py"
COMPOSE: Final = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"))["services"]
NAMES: Final = sorted(folder.name for folder in (ROOT / "services").iterdir() if (folder / "src").is_dir())
DATABASES: Final = {"mongodb_url": "database_url", "mongodb": "postgresql"}
"""What differs where the database does."""


def unnamed(container: Mapping[str, Any], name: str) -> str:
    """With the service's own name, and its database's, taken out."""
    text = str(dict(sorted(container.items()))).replace(name, "NAME")
    for own, other in DATABASES.items():
        text = text.replace(own, other)
    return text


@pytest.mark.parametrize("role", ["", "-migration"])
def test_every_service_is_deployed_as_the_others_are(role: str) -> None:
    assert len({unnamed(COMPOSE[f"{name}{role}"], name) for name in NAMES}) == 1


def test_nothing_but_the_gateway_is_published_and_that_on_loopback() -> None:
    published = {name: container["ports"] for name, container in COMPOSE.items() if "ports" in container}
    assert published == {"gateway": ["${GATEWAY_ADDRESS:-127.0.0.1}:${GATEWAY_PORT:-8080}:8080"]}


@pytest.mark.parametrize("name", COMPOSE)
def test_a_container_cannot_write_to_its_image_nor_gain_rights(name: str) -> None:
    container = COMPOSE[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert "mem_limit" in container


def test_the_gateway_leads_to_every_service() -> None:
    rules = (ROOT / "docker" / "gateway" / "Caddyfile").read_text(encoding="utf-8")
    [listed] = [line for line in rules.splitlines() if "path_regexp" in line]
    assert sorted(listed.partition("(")[2].partition(")")[0].split("|")) == NAMES


def deploy(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, DEPLOY, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_docker_it_says_so_in_one_line(tmp_path: Path) -> None:
    ended = deploy("up", PATH=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith("deploy: there is no `docker` here")
    assert len(ended.stderr.splitlines()) == 1


def test_without_an_engine_it_ends_in_one_line(tmp_path: Path) -> None:
    ended = deploy("up", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1


@pytest.fixture
def made(tmp_path: Path) -> Path:
    program = "import pathlib, sys, secret_files; print(*secret_files.make(pathlib.Path(sys.argv[1])))"
    folder = tmp_path / "secrets"
    for _ in range(2):
        told = subprocess.run(
            [sys.executable, "-c", program, folder],
            env={**os.environ, "PYTHONPATH": str(DEPLOY.parent)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    assert told == []  # the second time, all are there
    return folder


def test_secrets_are_for_their_owner_and_for_whoever_they_are_mounted_to(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in made.iterdir()} == {0o444}


def test_every_secret_of_the_deployment_is_made(made: Path) -> None:
    wanted = {
        name
        for file in ("compose.yaml", "compose.watching.yaml")
        for name in yaml.safe_load((ROOT / "docker" / file).read_text(encoding="utf-8"))["secrets"]
    }
    assert wanted <= {file.name for file in made.iterdir()}


def test_tokens_are_signed_by_the_secret_of_the_services(made: Path) -> None:
    access = Access((made / "auth_secret").read_text(encoding="utf-8"))
    assert access.read((made / "metrics_token").read_text(encoding="utf-8"))[1] == {"read"}
    assert access.read((made / "load_token").read_text(encoding="utf-8"))[1] == {"read", "write"}
