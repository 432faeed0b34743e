"""The `assay` command: its front door. Nothing is loaded before it can be interrupted."""

import os
import sys

INTERRUPTED, CLOSED_PIPE = 130, 141
"""As shells tell that a program ended by SIGINT and by SIGPIPE."""


def main() -> None:
    try:
        from assay.app import app

        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        if _is_of_closed_pipe(ended) or not _flushed():
            sys.exit(CLOSED_PIPE)
        raise


def _is_of_closed_pipe(ended: SystemExit) -> bool:
    """Rich and Typer end with 1 where nobody reads on, which is what a command says that found something."""
    return isinstance(ended.__context__, BrokenPipeError)


def _flushed() -> bool:
    """False where nobody reads what is left; it goes nowhere then, or the interpreter would complain."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
