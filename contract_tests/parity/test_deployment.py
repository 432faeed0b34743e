"""docker/: the deployed are deployed alike, nothing but the gateway is published, secrets are made once."""

import os
import re
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
DEPLOYED: Final = sorted(
    container["build"]["args"]["SERVICE"]
    for container in COMPOSE.values()
    if "build" in container and "target" not in container["build"]
)
"""The services of compose.yaml: whoever adds one to services/ need not deploy it."""
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
    assert len({unnamed(COMPOSE[f"{name}{role}"], name) for name in DEPLOYED}) == 1


def test_what_is_deployed_is_here_with_its_pins() -> None:
    assert DEPLOYED
    for name in DEPLOYED:
        assert (ROOT / "services" / name / "pyproject.toml").exists(), name
        assert (ROOT / "docker" / "requirements" / f"{name}.txt").exists(), name


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
    assert sorted(listed.partition("(")[2].partition(")")[0].split("|")) == DEPLOYED


def test_the_gateway_waits_for_every_service_and_the_console_asks_it() -> None:
    assert sorted(COMPOSE["gateway"]["depends_on"]) == sorted([*DEPLOYED, "console"])
    assert sorted(COMPOSE["console"]["command"]) == [
        f"--backend={name}=http://{name}:8000" for name in DEPLOYED
    ]


def test_the_metrics_of_every_service_are_asked_for() -> None:
    targets = yaml.safe_load((ROOT / "docker" / "metrics" / "targets.yml").read_text(encoding="utf-8"))
    asked = {group["labels"]["backend"]: group["targets"] for group in targets}
    assert asked == {name: [f"{name}:8000"] for name in DEPLOYED}


def test_every_service_has_its_overlay_and_there_is_one_for_all_of_them() -> None:
    overlays = (ROOT / "docker" / "k8s" / "overlays").iterdir()
    assert {folder.name for folder in overlays} == {*DEPLOYED, "side-by-side"}


def test_every_service_is_backed_up_with_the_database_that_it_is_on() -> None:
    told = inside("import stack; print(*(f'{name}={on}' for name, on in stack.DATABASES.items()))").stdout
    on = dict(pair.split("=") for pair in told.split())
    assert on == {name: next(iter(COMPOSE[f"{name}-migration"]["depends_on"])) for name in DEPLOYED}
    told = inside("print(*secret_files.POSTGRESQL)").stdout
    assert set(told.split()) == {name for name, database in on.items() if database == "postgresql"}


def test_what_is_beside_the_services_comes_when_asked_for_pinned_and_on_loopback_alone() -> None:
    compose = yaml.safe_load((ROOT / "docker" / "compose.watching.yaml").read_text(encoding="utf-8"))
    for name, service in compose["services"].items():
        assert service["profiles"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        mounts = [mount.split(":")[0] for mount in service.get("volumes", ())]
        sources = [ROOT / "docker" / mount for mount in mounts if mount.startswith("./")]
        assert [source for source in sources if not source.exists()] == [], name


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


def inside(program: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """A program that imports what is in docker/, with `folders` as it is given them."""
    start = "import sys, pathlib, copies, secret_files, stack; "
    start += "folders = [pathlib.Path(one) for one in sys.argv[1:]]; "
    return subprocess.run(
        [sys.executable, "-c", start + program, *folders],
        env={**os.environ, "PYTHONPATH": str(DEPLOY.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    for _ in range(2):
        told = inside("print(*secret_files.make(*folders))", folder)
    assert told.stdout.split() == [], told.stderr  # the second time, all are there
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """A backup, but for what is in its files."""
    folder = tmp_path / "backup"
    folder.mkdir()
    for name in ("sqlalchemy.dump", "asyncpg.dump", "tortoise.dump", "mongodb.tar"):
        (folder / name).write_text(name, encoding="utf-8")
    for name in DEPLOYED:
        (folder / f"{name}.files.tar").write_text(name, encoding="utf-8")
    sealed = inside("copies.seal(*folders)", folder, made)
    assert sealed.returncode == 0, sealed.stderr
    return folder


def test_a_backup_is_taken_as_it_was_written_alone(copied: Path, made: Path) -> None:
    assert inside("copies.check(*folders)", copied, made).stderr == ""
    (copied / "motor.files.tar").write_text("", encoding="utf-8")
    refused = inside("copies.check(*folders)", copied, made).stderr
    assert f"{copied / 'motor.files.tar'} is not as it was written" in refused


def test_a_backup_that_was_broken_off_is_none(copied: Path, made: Path) -> None:
    (copied / "backup.json").unlink()
    assert "is no whole backup" in inside("copies.check(*folders)", copied, made).stderr


@pytest.mark.parametrize("told", ["", "[]", '{"sha256": [], "mongodb": ""}', '{"sha256": {}, "mongodb": ""}'])
def test_a_seal_that_was_changed_is_none(copied: Path, made: Path, told: str) -> None:
    (copied / "backup.json").write_text(told, encoding="utf-8")
    ended = inside("copies.check(*folders)", copied, made)
    assert "is not as it was written" in ended.stderr.splitlines()[-1]
    assert "StackError" in ended.stderr.splitlines()[-1]


def test_a_backup_is_refused_where_mongodb_would_not_know_its_users(copied: Path, made: Path) -> None:
    (made / "motor_url").write_text("mongodb://motor:another@mongodb/motor", encoding="utf-8")
    refused = inside("copies.check(*folders)", copied, made).stderr
    assert "put the secrets back that it was made with" in refused


def test_tokens_are_renewed_and_passwords_are_not(made: Path) -> None:
    before = {file.name: file.read_text(encoding="utf-8") for file in made.iterdir()}
    (made / "metrics_token").write_text("expired", encoding="utf-8")
    told = inside("print(*secret_files.make(*folders, renew=True))", made).stdout.split()
    after = {file.name: file.read_text(encoding="utf-8") for file in made.iterdir()}
    assert told == ["metrics_token", "load_token"]
    assert len(after["metrics_token"]) > len("expired")
    assert {name for name in before if before[name] != after[name]} <= {"metrics_token", "load_token"}


def test_a_folder_of_ones_own_secrets_is_closed_to_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert inside("secret_files.make(*folders)", tmp_path).returncode == 0
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_checkout_that_is_closed_to_others_is_refused(tmp_path: Path) -> None:
    for name in ("databases", "gateway", "metrics"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch(mode=0o644)
    assert inside("stack.check_readable(*folders)", tmp_path).stderr == ""
    (tmp_path / "gateway" / "file").chmod(0o640)
    (last,) = inside("stack.check_readable(*folders)", tmp_path).stderr.splitlines()[-1:]
    assert last.endswith(f"containers read it: chmod -R o+rX {tmp_path}.")


def test_a_token_without_secrets_is_one_line(tmp_path: Path) -> None:
    told = inside(
        "import deploy; sys.argv = ['deploy', 'token']; deploy.Stack.of_repository = "
        "lambda: deploy.Stack('none', *folders); sys.exit(deploy.main())",
        tmp_path,
    )
    assert told.returncode == 2
    assert (
        told.stderr
        == "deploy: there are no secrets yet: just deploy up makes them, or just deploy secrets.\n"
    )


def test_secrets_are_for_their_owner_and_for_whoever_they_are_mounted_to(made: Path) -> None:
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in made.iterdir()} == {0o644}


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
