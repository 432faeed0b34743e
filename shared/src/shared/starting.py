"""Why a service cannot start, in one line for whoever starts it."""

from shared.errors import TimedOut, Unavailable
from shared.registry import Service

_VARIABLES = {"postgresql": "DATABASE_URL", "mongodb": "MONGODB_URL"}


def why_not_started(service: Service, error: BaseException) -> str | None:
    """None where it is a defect, whose trace tells more. What a driver or the system refuses is not."""
    return _why(service, error, f", and that `python -m {service.module} migrate` has run.")


def why_not_migrated(service: Service, error: BaseException) -> str | None:
    """As `why_not_started`."""
    is_anothers = "already exists" in str(error)
    taken = ": it names a database with tables of somebody else; each layer wants one of its own."
    return _why(service, error, taken if is_anothers else ".")


def _why(service: Service, error: BaseException, advice: str) -> str | None:
    if isinstance(error, ValueError) and type(error).__module__ == "builtins":
        return f"{service.title}: {_first_line(error)}"
    told = error.__cause__ if isinstance(error, Unavailable | TimedOut) else error
    if told is not None and _is_own(told):
        return None
    reason = "no answer" if told is None else f"{type(told).__name__}: {_first_line(told)}"
    return f"{service.title} cannot start ({reason}). Check {_VARIABLES[service.database]}{advice}"


def _is_own(error: BaseException) -> bool:
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def _first_line(error: BaseException) -> str:
    # PyMongo tells its whole topology after what happened
    told = str(error).partition(" (configured timeouts:")[0].partition(", Timeout: ")[0]
    return (told.splitlines() or ["no reason given"])[0][:300]
