"""The overview: an HTML page, made section by section (EXP-2)."""

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Final

import httpx2
import pytest
from api import Api
from builders import make_documents, make_user, make_users, unique_email, unique_word
from expectations import expect_problem, round_trips
from targets import Target

from assay.stand import Stand
from assay.stand.relay import Relay, open_relay

SECTIONS: Final = ["Totals", "Newest users", "Busiest owners", "Tags"]
VOID: Final = frozenset({"meta", "link", "br", "hr", "img", "input"})

LATER: Final = {"postgresql": b"DESC", "mongodb": b"$lookup"}
"""What a query of a later section has and the first one's has not, by database."""
ONCE: Final = {"postgresql": "", "mongodb": "&retryReads=false"}
"""What a database's URL says so that a lost query is not sent again."""


class Page(HTMLParser):
    """What a browser would see: the tables by their headings. Fails where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.headings: list[str] = []
        self.title = ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_decl(self, decl: str) -> None:
        assert decl.lower() == "doctype html"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h2":
            self.headings.append("")
        elif tag == "tr":
            self.tables.setdefault(self.headings[-1], []).append([])
        elif tag in ("td", "th"):
            self.tables[self.headings[-1]][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "h2" in self._open:
            self.headings[-1] += data
        elif "title" in self._open:
            self.title += data
        elif "td" in self._open or "th" in self._open:
            self.tables[self.headings[-1]][-1][-1] += data

    def rows(self, heading: str) -> list[list[str]]:
        """Without the columns' names."""
        return self.tables[heading][1:]


async def read(api: Api) -> Page:
    """The overview of now."""
    response = await api.get("/reports/overview")
    assert response.status_code == 200, response.text
    return Page(response.content.decode())


@pytest.mark.clause("EXP-2")
async def test_the_overview_is_a_page_of_four_sections(api: Api) -> None:
    await make_documents(api, await make_user(api), 1)
    response = await api.get("/reports/overview")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    text = response.content.decode()
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    page = Page(text)
    assert (page.headings, page.title) == (SECTIONS, "Overview")


@pytest.mark.clause("EXP-2")
async def test_the_overview_may_run_nothing(api: Api) -> None:
    response = await api.get("/reports/overview")
    policy = [part.strip() for part in response.headers["content-security-policy"].split(";")]
    assert policy[0] == "default-src 'none'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    elements = Page(response.content.decode()).elements
    assert "script" not in {tag for tag, _ in elements}
    assert not [name for _, attributes in elements for name in attributes if name.startswith(("on", "style"))]


@pytest.mark.clause("EXP-2", "GEN-12", "GEN-7")
async def test_head_of_the_overview_asks_nobody(api: Api) -> None:
    response = await api.head("/reports/overview")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert round_trips(response) == 0


@pytest.mark.clause("EXP-2", "GEN-1")
async def test_the_overview_takes_no_parameters(api: Api) -> None:
    expect_problem(await api.get("/reports/overview?x=1"), 422, "validation", ["query", "x"])


@pytest.mark.clause("EXP-2")
async def test_the_newest_users_come_first(api: Api) -> None:
    users = [await make_user(api, name=unique_word("New")) for _ in range(12)]
    rows = (await read(api)).rows("Newest users")
    newest = sorted(users, key=lambda user: (user["created_at"], user["id"]), reverse=True)[:10]
    assert rows == [[user["name"], user["email"], user["created_at"]] for user in newest]


@pytest.mark.clause("EXP-2")
async def test_the_totals_count_new_rows(quiet_api: Api) -> None:
    before = _totals(await read(quiet_api))
    owner = (await make_users(quiet_api, 2))[0]
    await make_documents(quiet_api, owner, 3, content={"a": "ü"}, tags=[])
    after = _totals(await read(quiet_api))
    size = len('{"a":"ü"}'.encode())
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 3, 3 * size]


def _totals(page: Page) -> list[int]:
    return [int(count.replace(",", "")) for _, count in page.rows("Totals")]


MARKUP: Final = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "&lt;b&gt; &amp; &#60;",
    "</td></table><h2>",
    "<!-- ",
    "]]> \u202e ü€😀",
]


@pytest.mark.clause("EXP-2")
@pytest.mark.parametrize("text", MARKUP)
async def test_a_name_is_text_and_never_markup(api: Api, text: str) -> None:
    await make_user(api, name=text)
    page = await read(api)
    assert page.rows("Newest users")[0][0] == text
    assert page.headings == SECTIONS


@pytest.mark.clause("EXP-2")
async def test_an_email_is_text_and_never_markup(api: Api) -> None:
    email = f"a&lt'{unique_email()}"
    await make_user(api, email=email)
    assert (await read(api)).rows("Newest users")[0][1] == email


@pytest.mark.clause("EXP-2")
async def test_owners_and_tags_are_text_and_never_markup(quiet_api: Api) -> None:
    owner = await make_user(quiet_api, name="<i>Busy</i>")
    tag = f"</td><b>{unique_word()}"
    for _ in range(3):
        await make_documents(quiet_api, owner, 1_000, content={}, tags=[tag])
    page = await read(quiet_api)
    assert ["<i>Busy</i>", owner["id"], "3,000"] in page.rows("Busiest owners")
    assert [tag, "3,000"] in page.rows("Tags")


@pytest.mark.clause("EXP-2")
async def test_what_no_page_may_hold_is_replaced(api: Api) -> None:
    await make_user(api, name="a\x01b\rc\x7fd\x85e\ufffff")
    assert (await read(api)).rows("Newest users")[0][0] == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf"


@pytest.fixture
async def relayed(own_stand: Stand, target: Target) -> AsyncIterator[tuple[str, Relay]]:
    """The URL of a service that has asked nothing yet, and the relay before its database."""
    assert target.service is not None
    [(variable, url)] = own_stand.databases.url_for(target.service).items()
    async with open_relay(url) as relay:
        environment = {variable: relay.url + ONCE[target.service.database]}
        running = await own_stand.start_service(target.service, name="relayed", environment=environment)
        yield running.url, relay
        await running.stop()


@pytest.mark.clause("EXP-2", "OPS-5")
async def test_an_overview_that_fails_on_the_way_has_no_clean_end(
    relayed: tuple[str, Relay], target: Target
) -> None:
    assert target.service is not None
    url, relay = relayed
    relay.lose_answer(LATER[target.service.database])
    begun = bytearray()
    async with httpx2.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        async with client.stream("GET", "/reports/overview") as response:
            assert response.status_code == 200
            with pytest.raises(httpx2.RemoteProtocolError):
                await _read_into(begun, response)
        whole = await client.get("/reports/overview")
    assert relay.lost_answers == 1
    assert b"<h2>Totals</h2>" in begun
    assert b"<h2>Tags</h2>" not in begun
    assert Page(whole.text).headings == SECTIONS


async def _read_into(begun: bytearray, response: httpx2.Response) -> None:
    async for some in response.aiter_bytes():
        begun += some
