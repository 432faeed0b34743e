"""The four services side by side in containers: `just deploy up|down|logs|token|backup|restore|test`."""

import argparse
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import copies
import secret_files
from stack import Stack, StackError

EPILOG = """\
up builds the images, starts everything, and waits until it is healthy; again, it brings up what has changed.
down keeps the databases and files; --purge removes them, the secrets and the images as well.
backup and restore write and read one folder; keep docker/secrets with it, MongoDB's users are in the backup.
GATEWAY_ADDRESS and GATEWAY_PORT say where the gateway listens (127.0.0.1:8080); docker/.env keeps them.
More: docs/operations.md."""


COMPOSE, ENGINE = (2, 20), (25, 0)
"""The first that know `include`, and `start_interval` of health checks."""


def main() -> int:
    chosen = _parser().parse_args()
    # whoever closes the terminal, or stops it otherwise, leaves what was stopped started again
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if chosen.command != "token":
            _check_engine()
        return _run(chosen, Stack.of_repository())
    except StackError as error:
        sys.stderr.write(f"deploy: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"deploy: {error.filename}: {error.strerror}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _token(stack: Stack) -> str:
    try:
        return secret_files.token(stack.secrets, "deployer", "read write", 24 * 3600)
    except FileNotFoundError:
        raise StackError(
            "there are no secrets yet: just deploy up makes them, or just deploy secrets."
        ) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="just deploy",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="build, start, wait")
    down = commands.add_parser("down", help="stop and remove the containers")
    down.add_argument("--purge", action="store_true", help="data, secrets and images too")
    logs = commands.add_parser("logs", help="what the containers said, and go on saying")
    logs.add_argument("service", nargs="*")
    made = commands.add_parser("secrets", help="make the missing files of docker/secrets, start nothing")
    made.add_argument("--renew", action="store_true", help="the tokens of Prometheus and of the load as well")
    commands.add_parser("token", help="print an access token for a day")
    for name, help_text in (("backup", "into a new or empty folder"), ("restore", "from such a folder")):
        commands.add_parser(name, help=help_text).add_argument("folder", type=Path)
    commands.add_parser("test", help="the contract through the gateway, stops, kills, backup; removes all")
    return parser


def _run(chosen: argparse.Namespace, stack: Stack) -> int:
    match chosen.command:
        case "up":
            _up(stack)
        case "down":
            stack.down(purge=chosen.purge)
        case "logs":
            return stack.follow(chosen.service)
        case "secrets":
            made = stack.make_secrets(renew=chosen.renew)
            _say(f"made: {', '.join(made) or 'none, all are there'}")
        case "token":
            _say(_token(stack))
        case "backup":
            copies.backup(stack, chosen.folder)
        case "restore":
            copies.restore(stack, chosen.folder)
        case "test":
            import trial  # its tools are the tests' own

            return trial.run()
    return 0


def _up(stack: Stack) -> None:
    stack.up()
    url = stack.url()
    for name in stack.services:
        _say(f"{name:12}{url}/{name}")
    _say(f"console     {url}/ (any name; the password is in {stack.secrets / 'console_password'})")
    _say('token       curl -H "Authorization: Bearer $(uv run just deploy token)" …')


def _check_engine() -> None:
    if shutil.which("docker") is None:
        raise StackError(
            "there is no `docker` here: install Docker with Compose v2, or use `uv run assay up`."
        )
    for command, least, missing in (
        (
            ["docker", "compose", "version", "--short"],
            COMPOSE,
            "Compose v2 is missing: install the docker compose plugin.",
        ),
        (
            ["docker", "version", "--format", "{{.Server.Version}}"],
            ENGINE,
            "the Docker engine does not answer: start it, or look at DOCKER_HOST.",
        ),
    ):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise StackError(missing)
        found = tuple(int(part) for part in re.findall(r"\d+", ran.stdout)[:2])
        if found < least:
            wanted = ".".join(map(str, least))
            raise StackError(
                f"`{' '.join(command[:-1])}` says {ran.stdout.strip()}: {wanted} or later is needed."
            )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
