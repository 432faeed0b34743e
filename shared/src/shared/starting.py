"""Why a service cannot start, in one line for whoever starts it."""

from shared.errors import TimedOut, Unavailable
from shared.registry import Service

_VARIABLES = {"postgresql": "DATABASE_URL", "mongodb": "MONGODB_URL"}


def why_not_started(service: Service, error: BaseException) -> str | None:
    """None where it is a defect, whose trace tells more. What a driver or the system refuses is not."""
    if isinstance(error, ValueError) and type(error).__module__ == "builtins":
        return f"{service.title}: {_first_line(error)}"
    told = error.__cause__ if isinstance(error, Unavailable | TimedOut) else error
    if told is not None and _is_own(told):
        return None
    reason = "no answer" if told is None else f"{type(told).__name__}: {_first_line(told)}"
    variable = _VARIABLES[service.database]
    return (
        f"{service.title} cannot start ({reason}). Check {variable}, and that `python -m {service.module}"
        " migrate` has run."
    )


def _is_own(error: BaseException) -> bool:
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no reason given"])[0][:300]
