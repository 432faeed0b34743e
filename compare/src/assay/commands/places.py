"""Where results are to be written: tried before anything starts, so that no run is lost to a wrong path."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

from assay.stand import StandError


def check_folder(option: str, folder: Path, names: Sequence[str]) -> None:
    """Makes it. StandError where no file can be made in it, or one of `names` not be written again."""
    try:
        if folder.exists() and not folder.is_dir():
            raise StandError(f"{option} {folder}: is a file: choose a folder.")
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
        for file in (folder / name for name in names):
            if file.exists():
                file.open("ab").close()
    except OSError as error:
        raise refused(option, folder, error, "folder") from None


def check_file(option: str, file: Path) -> None:
    """StandError where it cannot be written; what it holds stays."""
    # a pipe would take the end of this try for the end of what it is to hear
    if file.exists() and not file.is_file() and not file.is_dir():
        return
    try:
        there = file.exists()
        file.open("ab").close()
        if not there:
            file.unlink()
    except OSError as error:
        raise refused(option, file, error, "file") from None


def refused(option: str, place: Path, error: OSError, kind: str) -> StandError:
    return StandError(f"{option} {place}: {error.strerror}: choose another {kind}.")
