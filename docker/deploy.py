"""The four services side by side in containers: `just deploy up|down|logs|token|backup|restore|test`."""

import argparse
import shutil
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
GATEWAY_ADDRESS and GATEWAY_PORT say where the gateway listens (127.0.0.1:8080). More: docs/operations.md."""


def main() -> int:
    chosen = _parser().parse_args()
    try:
        _check_engine()
        return _run(chosen, Stack.of_repository())
    except StackError as error:
        sys.stderr.write(f"deploy: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


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
    commands.add_parser("secrets", help="make the missing files of docker/secrets, start nothing")
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
            _say(f"made: {', '.join(secret_files.make(stack.secrets)) or 'none, all are there'}")
        case "token":
            _say(secret_files.token(stack.secrets, "deployer", "read write", 24 * 3600))
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
    for name in stack.services:
        _say(f"{name:12}{stack.url}/{name}")
    _say(f"console     {stack.url}/ (any name; the password is in {stack.secrets / 'console_password'})")
    _say('token       curl -H "Authorization: Bearer $(uv run just deploy token)" …')


def _check_engine() -> None:
    if shutil.which("docker") is None:
        raise StackError(
            "there is no `docker` here: install Docker with Compose v2, or use `uv run assay up`."
        )
    for command, missing in (
        (["docker", "compose", "version"], "Compose v2 is missing: install the docker compose plugin."),
        (["docker", "info"], "the Docker engine does not answer: start it, or look at DOCKER_HOST."),
    ):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            raise StackError(missing)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
