"""The routes of reports: pages that are made while they are sent (EXP-2)."""

from base64 import b64encode
from collections.abc import AsyncGenerator, Iterable, Sequence
from hashlib import sha256
from html import escape
from typing import Final

from shared.http.answers import Answers
from shared.http.call import Answer, Call, streamed
from shared.http.routing import Routes
from shared.ports.backend import Backend
from shared.rules import clock, limits
from shared.rules.clock import rfc3339
from shared.schemas.users import UserListing

router = Routes("reports")

_NEWEST_USERS: Final = 10

_STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; table-layout: fixed; width: 100%; }
th, td { border-bottom: 1px solid light-dark(#ccc, #555); padding: .3rem .6rem; text-align: start; }
td { overflow-wrap: anywhere; }
.number { font-variant-numeric: tabular-nums; text-align: end; white-space: nowrap; }
"""
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
)
_HEAD: Final = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Overview</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>Overview</h1>
"""
_END: Final = "</main>\n</body>\n</html>\n"

# a browser takes them for errors of the page, and shows them nowhere
_NO_CHARACTERS: Final = dict.fromkeys(
    [
        *(code for code in range(0xA0) if not chr(code).isprintable() and chr(code) not in "\t\n"),
        *range(0xFDD0, 0xFDF0),
        *(plane + last for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)),
    ],
    "\N{REPLACEMENT CHARACTER}",
)


@router.get("/reports/overview", Answers(200, None, media_types=("text/html",)))
async def get_overview(call: Call) -> Answer:
    """EXP-2"""
    return await streamed(call, _HEADERS, _page(call.backend))


async def _page(backend: Backend) -> AsyncGenerator[bytes, None]:
    """Each section's connection is given back before the section is sent."""
    yield f"{_HEAD}<p>As of {rfc3339(clock.now())}</p>\n{await _totals(backend)}".encode()
    yield (await _newest_users(backend)).encode()
    yield (await _busiest_owners(backend)).encode()
    yield (await _tags(backend) + _END).encode()


async def _totals(backend: Backend) -> str:
    async with backend.reader() as reader:
        totals = await reader.dashboard.totals()
    rows = [
        ("Users", totals.users),
        ("Documents", totals.documents),
        ("Bytes of content", totals.content_bytes),
    ]
    return _section("Totals", ("What", "Count"), rows)


async def _newest_users(backend: Backend) -> str:
    listing = UserListing("created_at", descending=True, after=None, prefix=None, limit=_NEWEST_USERS)
    async with backend.reader() as reader:
        users = await reader.users.list(listing)
    rows = [(user.name, user.email, rfc3339(user.created_at)) for user in users]
    return _section("Newest users", ("Name", "E-mail", "Created"), rows)


async def _busiest_owners(backend: Backend) -> str:
    async with backend.reader() as reader:
        owners = await reader.dashboard.top_owners(limits.DASHBOARD_TOP)
    rows = [(owner.name, str(owner.user_id), owner.count) for owner in owners]
    return _section("Busiest owners", ("Name", "Id", "Documents"), rows)


async def _tags(backend: Backend) -> str:
    async with backend.reader() as reader:
        tags = await reader.dashboard.top_tags(limits.DASHBOARD_TOP)
    return _section("Tags", ("Tag", "Documents"), [(tag.tag, tag.count) for tag in tags])


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    """A heading and a table. Columns of numbers are those that have one in the first row."""
    if not rows:
        return f"<section>\n<h2>{title}</h2>\n<p>None yet.</p>\n</section>\n"
    heads = "".join(
        f'<th scope="col"{_class(cell)}>{column}</th>' for column, cell in zip(columns, rows[0], strict=True)
    )
    lines = "\n".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return (
        f"<section>\n<h2>{title}</h2>\n<table>\n<thead>\n<tr>{heads}</tr>\n</thead>\n"
        f"<tbody>\n{lines}\n</tbody>\n</table>\n</section>\n"
    )


def _cells(row: Iterable[str | int]) -> str:
    return "".join(f"<td{_class(cell)}>{_shown(cell)}</td>" for cell in row)


def _class(cell: str | int) -> str:
    return ' class="number"' if isinstance(cell, int) else ""


def _shown(cell: str | int) -> str:
    """A text is isolated, so that letters that run the other way turn nothing around them."""
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"<bdi>{escape(cell.translate(_NO_CHARACTERS))}</bdi>"
