"""The `assay` command: its front door. Each command's work is in `commands/`."""

import sys
import traceback
from collections.abc import Coroutine
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from assay.stand import StandError, StandOptions, StoppedError, run_until_stopped

FOUND, WRONG_USE = 1, 2

app = typer.Typer(
    name="assay",
    help="Four data layers, one contract: prove that they behave alike, and measure what each costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True)

Names = Annotated[list[str] | None, typer.Argument(help="Backends; all installed ones if left out.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="Only this backend; repeatable.")
]
Data = Annotated[Path | None, typer.Option("--data", help="Keep the embedded databases in this folder.")]
Docker = Annotated[bool, typer.Option("--docker", help="Run the databases in containers.")]
ApiUrls = Annotated[
    list[str] | None,
    typer.Option(
        "--api-url", metavar="NAME=URL", help="A service that runs already, in any language; repeatable."
    ),
]


@app.command()
def up(
    only: Only = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write {name: url} to this file.")] = None,
    data: Data = None,
    docker: Docker = False,
) -> None:
    """Start databases and services, show their URLs, and stay until Ctrl-C."""
    from assay.commands import up as command

    # a signal is how it is meant to end
    _run(command.up(only or [], json, StandOptions(data=data, docker=docker), console), stopped=0)


@app.command()
def serve(
    name: Annotated[str, typer.Argument(help="The backend.")],
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Run one service on the database that DATABASE_URL or MONGODB_URL names; migrates it first."""
    from assay.commands import serve as command

    _exit(_refused(lambda: command.serve(name, host, port)))


@app.command()
def contract(names: Names = None, api_url: ApiUrls = None, docker: Docker = False) -> None:
    """Run the contract suite, and show which clause each backend keeps."""
    from assay.commands import contract as command

    _exit(_refused(lambda: command.contract(names or [], api_url or [], docker=docker)))


@app.command()
def show(operation: Annotated[str, typer.Argument(help="Such as documents.transfer.")]) -> None:
    """Show how every backend answers one operation, side by side."""
    from assay.commands import show as command

    _exit(_refused(lambda: command.show(operation, Console())))


@app.command()
def compare(
    names: Names = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds: done within 3 minutes.")] = False,
    budget: Annotated[str, typer.Option(help="Time for measuring, such as 90s or 5m.")] = "5m",
    output: Annotated[Path, typer.Option(help="Folder for results.json and report.html.")] = Path("out"),
    baseline: Annotated[str | None, typer.Option(help="The backend that the others are ratios of.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order, the requests and the bootstrap.")] = 1,
    data: Data = None,
    docker: Docker = False,
) -> None:
    """Prove equal work, measure side by side, and write the report."""
    from assay.commands import compare as command

    options = _refused(
        lambda: command.options_of(names or [], quick, budget, output, baseline, seed, sys.argv[1:])
    )
    _run(command.compare(options, StandOptions(data=data, docker=docker), console))


def main() -> None:
    app()


def _run(work: Coroutine[Any, Any, int], stopped: int | None = None) -> None:
    _exit(_refused(lambda: uvloop.run(run_until_stopped(work)), stopped))


def _refused(work: Any, stopped: int | None = None) -> Any:
    """What the work gives; a refusal is one line and exit code 2, a signal 128 and its number, or `stopped`.

    A defect of our own is one line as well, and its traceback is in a file.
    """
    try:
        return work()
    except StandError as error:
        console.print(f"assay: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(WRONG_USE) from None
    except StoppedError as ended:
        raise typer.Exit(128 + ended.signal if stopped is None else stopped) from None
    except Exception:  # noqa: BLE001 - the last place that can keep a traceback from the user
        with NamedTemporaryFile("w", prefix="assay-defect-", suffix=".txt", delete=False) as report:
            traceback.print_exc(file=report)
        console.print(
            f"assay: this is a defect of assay; please report it with {report.name}",
            style="red",
            soft_wrap=True,
        )
        raise typer.Exit(WRONG_USE) from None


def _exit(code: int) -> None:
    raise typer.Exit(code)
