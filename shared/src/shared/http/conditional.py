"""Entity tags on single resources: answers that carry them, conditions read from requests (GEN-10)."""

from collections.abc import Awaitable, Callable

from shared.http.call import JSON, Answer, Call
from shared.http.problems import ProblemError
from shared.rules.etags import Versions, accepted_versions, etag, has_version


def resource(call: Call, version: int, body: bytes) -> Answer:
    """200 with the resource, or 304 where the client has this version."""
    held = call.header(b"if-none-match")
    tag = (b"etag", etag(version))
    if held is not None and call.scope["method"] in ("GET", "HEAD") and has_version(held, version):
        return Answer(304, headers=[tag])
    return Answer(200, body, [JSON, tag])


def created(call: Call, path: str, version: int, body: bytes) -> Answer:
    location = (b"location", call.located(path).encode())
    return Answer(201, body, [JSON, location, (b"etag", etag(version))])


def expected_versions(call: Call) -> Versions:
    """What a DELETE accepts: any version, unless the client says which."""
    header = call.header(b"if-match")
    return None if header is None else accepted_versions(header)


async def required_versions(call: Call, look_up: Callable[[], Awaitable[object]]) -> Versions:
    """What a PUT or PATCH accepts. Without If-Match 428, unless the row that `look_up` reads is missing."""
    header = call.header(b"if-match")
    if header is not None:
        return accepted_versions(header)
    await look_up()
    raise ProblemError("precondition-required")
