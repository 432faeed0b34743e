"""The commands of `assay` and their options. Each command's work is in `commands/`."""

import sys
import traceback
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from assay.stand import StandError, StandOptions, StoppedError, run_until_stopped

FOUND, WRONG_USE = 1, 2
TEN_YEARS = 10 * 365 * 24 * 3600


class Arrivals(StrEnum):
    POISSON = "poisson"
    CONSTANT = "constant"


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
    page: Annotated[
        bool, typer.Option("--console", help="Also a page that sends a request to all of them.")
    ] = False,
) -> None:
    """Start databases and services, show their URLs, and stay until Ctrl-C."""
    from assay.commands import up as command

    # a signal is how it is meant to end
    work = command.up(only or [], json, StandOptions(data=data, docker=docker), console, with_console=page)
    _run(work, stopped=0)


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
def token(
    sub: Annotated[str, typer.Option("--sub", help="Whose token it is.")],
    scope: Annotated[
        str, typer.Option("--scope", help="What it allows: read, write or both.")
    ] = "read write",
    expires: Annotated[
        int, typer.Option("--expires", metavar="SECONDS", help="How long it is valid.", min=1, max=TEN_YEARS)
    ] = 3_600,
) -> None:
    """Print an access token for services that run with the AUTH_SECRET of this environment."""
    from assay.commands import token as command

    _exit(_refused(lambda: command.token(sub, scope, expires)))


@app.command()
def contract(
    names: Names = None,
    api_url: ApiUrls = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="TOKEN", envvar="CONTRACT_TOKEN", help="Goes with each request to --api-url."
        ),
    ] = None,
    docker: Docker = False,
) -> None:
    """Run the contract suite, and show which clause each backend keeps."""
    from assay.commands import contract as command

    _exit(_refused(lambda: command.contract(names or [], api_url or [], token, docker=docker)))


@app.command()
def show(operation: Annotated[str, typer.Argument(help="Such as documents.transfer.")]) -> None:
    """Show how every backend answers one operation, side by side."""
    from assay.commands import show as command

    _exit(_refused(lambda: command.show(operation, Console())))


@app.command()
def compare(
    names: Names = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="The cost of each scenario alone: about 3 minutes.")
    ] = False,
    budget: Annotated[str, typer.Option(help="Time for measuring, such as 90s or 5m.")] = "5m",
    output: Annotated[Path, typer.Option(help="Folder for results.json and report.html.")] = Path("out"),
    baseline: Annotated[str | None, typer.Option(help="The backend that the others are ratios of.")] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the arms, the requests and their arrivals.")] = 1,
    precision: Annotated[
        float,
        typer.Option(help="Half-width of a ratio's interval at which a scenario is done.", min=0.005, max=1),
    ] = 0.05,
    target: Annotated[
        float, typer.Option(metavar="MS", help="p99 that must hold at an arm's capacity.", min=1, max=60_000)
    ] = 50.0,
    arrivals: Annotated[
        Arrivals, typer.Option(help="How requests of the open loop arrive.")
    ] = Arrivals.POISSON,
    db_delay: Annotated[
        str | None,
        typer.Option(
            "--db-delay", metavar="MS,…", help="Round trips to the database that take longer: 0,1,5."
        ),
    ] = None,
    workload: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Your own mix in place of the scenarios.")
    ] = None,
    api_url: ApiUrls = None,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME=N,…", help="What counts how much: cpu=3,latency=2,memory=0.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="LIMIT", help='A hard limit, such as "p99 < 20 ms at 500/s"; repeatable.'),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse to measure arms that differ in what should be equal.")
    ] = False,
    data: Data = None,
    docker: Docker = False,
) -> None:
    """Prove equal work, measure side by side, and write the report."""
    from assay.commands import compare as command

    options = _refused(
        lambda: command.options_of(
            names or [],
            quick=quick,
            budget=budget,
            output=output,
            baseline=baseline,
            seed=seed,
            precision=precision,
            target_ms=target,
            arrivals=arrivals.value,
            delays=db_delay,
            workload=workload,
            api_urls=api_url or [],
            weights=weights,
            require=require or [],
            strict=strict,
            arguments=sys.argv[1:],
        )
    )
    _run(command.compare(options, StandOptions(data=data, docker=docker), console))


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="One results.json, or two: before and after.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for a pull request.")] = False,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write the page of one run again.")
    ] = None,
) -> None:
    """Show a run again, or what changed between two: 1 where a ratio is apart or is lost in one of them."""
    from assay.commands import report as command

    asked: dict[command.Form, bool] = {"json": json, "markdown": markdown}
    forms = [form for form, is_asked in asked.items() if is_asked]
    _exit(_refused(lambda: command.report(files, forms, page, Console())))


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
