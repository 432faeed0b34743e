"""Errors become problem details here and nowhere else: the one table of statuses (GEN-4)."""

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from pydantic import TypeAdapter, ValidationError

from shared import errors
from shared.rules import limits
from shared.schemas.problems import FieldError, Problem

Slug = Literal[
    "validation",
    "malformed-json",
    "not-found",
    "method-not-allowed",
    "email-taken",
    "conflict",
    "precondition-failed",
    "precondition-required",
    "payload-too-large",
    "unsupported-media-type",
    "range-not-satisfiable",
    "upgrade-required",
    "unauthorized",
    "forbidden",
    "overloaded",
    "timeout",
    "internal",
]

_KINDS: Final[dict[Slug, tuple[int, str, str]]] = {
    "validation": (422, "Invalid request", "The request breaks a rule of the API."),
    "malformed-json": (400, "Malformed JSON", "The body is no UTF-8 JSON."),
    "not-found": (404, "Not found", "There is nothing here."),
    "method-not-allowed": (405, "Method not allowed", "The resource does not take this method."),
    "email-taken": (409, "E-mail taken", "Another user has this e-mail."),
    "conflict": (409, "Conflict", "The stored rows do not allow this; nothing changed."),
    "precondition-failed": (412, "Precondition failed", "The resource has another version; nothing changed."),
    "precondition-required": (428, "Precondition required", "Send If-Match with the version to change."),
    "payload-too-large": (413, "Payload too large", "The body is larger than the service takes."),
    "unsupported-media-type": (415, "Unsupported media type", "Send the body as application/json."),
    "range-not-satisfiable": (416, "Range not satisfiable", "The file is shorter than the range starts."),
    "unauthorized": (401, "Unauthorized", "Send Authorization: Bearer and an access token."),
    "forbidden": (403, "Forbidden", "The access token does not allow this."),
    "upgrade-required": (426, "Upgrade required", "This is a WebSocket endpoint."),
    "overloaded": (503, "Unavailable", "The service cannot take this now; try again."),
    "timeout": (504, "Timed out", "The outcome of a write is unknown: it holds whole or not at all."),
    "internal": (500, "Internal error", "The service failed; the request is in its log by its id."),
}
assert set(_KINDS) == set(get_args(Slug))

PROBLEM_JSON = (b"content-type", b"application/problem+json")

_UNKNOWN_OUTCOME = "The database was lost before it answered: the outcome is unknown."
_SHOWN_NAME = re.compile(r"[A-Za-z0-9_]{1,64}").fullmatch
_PROBLEM = TypeAdapter(Problem)

Headers = Sequence[tuple[bytes, bytes]]


class ProblemError(Exception):
    """An answer that is a problem. Raised where the request is read, and made of errors of the layers."""

    def __init__(
        self,
        slug: Slug,
        detail: str | None = None,
        field_errors: list[FieldError] | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(slug)
        self.slug = slug
        self.status, self.title, default = _KINDS[slug]
        self.detail = default if detail is None else detail
        self.field_errors = None if field_errors is None else field_errors[: limits.FINDINGS_MAX]
        self.headers = headers

    def body(self, instance: str) -> bytes:
        problem = Problem(
            f"/problems/{self.slug}", self.title, self.status, self.detail, instance, self.field_errors
        )
        return _PROBLEM.dump_json(problem, exclude_none=True)


def status_of(slug: Slug) -> int:
    return _KINDS[slug][0]


def title_of(slug: Slug) -> str:
    return _KINDS[slug][1]


def invalid(*loc: str | int, msg: str, kind: str = "value_error") -> FieldError:
    return FieldError(list(loc), msg, kind)


def field_errors_of(error: ValidationError, place: str) -> list[FieldError]:
    """Pydantic's findings without the input that they were found in."""
    return [
        FieldError(
            [place, *_shown_loc(found["loc"], found["type"])],
            found["msg"].removeprefix("Value error, "),
            found["type"],
        )
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _shown_loc(loc: tuple[int | str, ...], kind: str) -> list[str | int]:
    if kind == "extra_forbidden" and not is_shown(str(loc[-1])):
        return list(loc[:-1])
    return list(loc)


def is_shown(name: str) -> bool:
    """Whether a name that the API does not know may be shown back."""
    return _SHOWN_NAME(name) is not None


def problem_of(error: Exception) -> ProblemError | None:
    """The problem that an error of a layer is, or None for one that nobody foresaw."""
    match error:
        case ProblemError():
            return error
        case errors.Refused():
            return _refusal(error)
        case errors.Unavailable():
            detail = _UNKNOWN_OUTCOME if error.outcome_unknown else None
            return ProblemError("overloaded", detail, headers=[(b"retry-after", b"1")])
        case errors.TimedOut() | TimeoutError():
            return ProblemError("timeout")
        case ExceptionGroup():
            return next(filter(None, map(problem_of, error.exceptions)), None)
    return None


def _refusal(error: errors.Refused) -> ProblemError | None:
    match error:
        case errors.NotFound():
            return ProblemError("not-found")
        case errors.PreconditionFailed():
            return ProblemError("precondition-failed")
        case errors.EmailTaken():
            found = _in_batch(error.places, "email", "is taken or repeated", "email_taken")
            return ProblemError("email-taken", field_errors=found)
        case errors.UnknownOwner():
            found = _in_batch(error.places, "owner_id", "names no user", "unknown_owner")
            return ProblemError("validation", field_errors=found)
        case errors.KeyReused():
            return ProblemError("conflict", "The idempotency key came with another request; nothing changed.")
        case errors.TransferConflict():
            return ProblemError("conflict", field_errors=_transfer_errors(error))
    return None


def _in_batch(places: Sequence[int], field: str, msg: str, kind: str) -> list[FieldError]:
    if not places:
        return [invalid("body", field, msg=msg, kind=kind)]
    return [invalid("body", place, field, msg=msg, kind=kind) for place in places]


def _transfer_errors(error: errors.TransferConflict) -> list[FieldError]:
    found: list[Any] = [
        invalid("body", "document_ids", place, msg="is not a document of the giving owner", kind="not_owned")
        for place in error.places
    ]
    if error.unknown_owner is not None:
        found.append(invalid("body", error.unknown_owner, msg="names no user", kind="unknown_owner"))
    return found
