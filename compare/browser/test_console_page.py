"""The console as somebody uses it: by mouse, by keyboard alone, on a phone, in the dark."""

import json

import httpx2
import pytest
from opened import Console
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

LAYERS = ["asyncpg", "motor", "sqlalchemy", "tortoise"]


def _send(page: Page, operation: str) -> None:
    page.get_by_label("Operation").select_option(label=operation)
    page.get_by_role("button", name="Send to all").click()
    expect(page.locator("#outcome")).to_contain_text("answered", timeout=30_000)


def _sideways(page: Page) -> int:
    """Pixels that the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_request_is_answered_by_all_and_the_page_says_that_they_agree(page: Page) -> None:
    _send(page, "GET /users/{user_id}")
    for layer in LAYERS:
        card = page.locator(f"#answer-{layer}")
        expect(card.locator(".status")).to_have_text("200")
        expect(card.locator(".figures")).to_contain_text("round trips")
        expect(card.locator("pre")).to_contain_text("Ada Lovelace")
    expect(page.locator("#outcome")).to_have_text("All 4 answered. No differences.")


def test_what_was_just_made_is_what_its_placeholder_stands_for(page: Page) -> None:
    _send(page, "POST /users")
    _send(page, "GET /users/{user_id}")
    expect(page.locator("#answer-motor pre")).to_contain_text("Grace Hopper")


def test_numbers_are_shown_to_the_last_digit(page: Page) -> None:
    page.get_by_label("Operation").select_option(label="PUT /documents/{document_id}")
    body = '{"title": "Large", "content": {"n": 9007199254740993}, "tags": []}'
    page.get_by_label("JSON body").fill(body)
    page.get_by_role("button", name="Send to all").click()
    expect(page.locator("#answer-asyncpg pre")).to_contain_text('"n": 9007199254740993')


def test_a_body_that_was_cut_is_said_to_be_compared_by_its_beginning(page: Page) -> None:
    document = {"owner_id": "{user_id}", "title": "Large", "content": {"text": "a" * 40_000}, "tags": []}
    page.get_by_label("Operation").select_option(label="POST /documents/batch")
    page.get_by_label("JSON body").fill(json.dumps([document] * 10))
    page.get_by_role("button", name="Send to all").click()
    expect(page.locator("#answer-motor pre")).to_contain_text("only the beginning", timeout=30_000)
    expect(page.locator("#answer-motor .apart")).to_contain_text("in the beginnings, which were compared")


def test_differences_are_told_by_their_place(page: Page) -> None:
    _send(page, "GET /info")
    expect(page.locator("#answer-motor .apart")).to_contain_text("body.backend")
    expect(page.locator("#outcome")).to_contain_text("3 differ from asyncpg")


def test_markup_in_an_answer_is_text(page: Page) -> None:
    page.get_by_label("Operation").select_option(label="PATCH /users/{user_id}")
    page.get_by_label("JSON body").fill('{"name": "<img src=x onerror=alert(1)>"}')
    page.get_by_role("button", name="Send to all").click()
    expect(page.locator("#answer-asyncpg pre")).to_contain_text("<img src=x")
    assert page.locator("#answers img").count() == 0


def test_a_header_out_of_form_is_told_in_one_line(page: Page) -> None:
    page.get_by_label("Headers, one on each line").fill("nonsense")
    page.get_by_role("button", name="Send to all").click()
    expect(page.get_by_role("alert")).to_contain_text("has no colon")


def test_the_keyboard_alone_sends_a_request(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Operation")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "send":
            break
    page.keyboard.press("Enter")
    expect(page.locator("#outcome")).to_contain_text("All 4 answered")


def test_no_part_of_the_page_keeps_the_keyboard(page: Page) -> None:
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"operation", "send", "races", "primary", "BODY"} <= reached


def test_races_end_in_a_tally(page: Page) -> None:
    page.get_by_label("Races").fill("5")
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#race-state")).to_contain_text("5 races run")
    wins = page.locator("#tally tbody tr td:nth-child(2)").all_inner_texts()
    assert sum(int(won.split(" of ")[0]) for won in wins) == 5
    assert [won.split(" of ")[1] for won in wins] == ["5"] * 4


def test_races_can_be_stopped(page: Page) -> None:
    page.get_by_label("Races").fill("200")
    page.get_by_role("button", name="Start").click()
    page.locator("#tally tbody tr").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#race-state")).to_have_text("Stopped.")


def test_every_backend_has_its_charts(page: Page) -> None:
    page.get_by_label("Races").fill("30")
    page.get_by_role("button", name="Start").click()
    cards = page.locator("#pulses article")
    expect(cards).to_have_count(4)
    expect(cards.nth(0).locator("svg")).to_have_count(4)
    for name in ("rate", "p50", "p99", "lag", "in_use"):
        expect(page.locator(f"#pulses article:first-child polyline.{name}").first).to_be_attached()


def test_the_two_quantiles_of_a_chart_are_told_apart_by_their_lines(page: Page) -> None:
    page.get_by_label("Races").fill("30")
    page.get_by_role("button", name="Start").click()
    line = page.locator("#pulses article:first-child polyline.p50").first
    expect(line).to_be_attached()
    expect(line).to_have_css("opacity", "1")
    expect(line).not_to_have_css("stroke-dasharray", "none")
    expect(page.locator("#pulses article").first).to_contain_text("p50 (dashed), p99")


def test_a_killed_service_is_gone_and_holds_up_nobody_and_is_seen_when_it_is_back(
    page: Page, console: Console
) -> None:
    pulse = page.locator("#pulses article", has_text="tortoise")
    expect(pulse.locator(".status")).to_have_text("here")
    with console.without("tortoise"):
        expect(pulse.locator(".status")).to_have_text("gone")
        page.get_by_role("button", name="Send to all").click()
        expect(page.locator("#outcome")).to_contain_text("1 of 4 gave no answer")
        expect(pulse).to_contain_text("cannot be reached")
        expect(page.locator("#answer-tortoise .status")).to_contain_text("cannot be reached")
        expect(page.locator("#answer-asyncpg .status")).to_have_text("200")
    # as long as a service takes to start on a busy machine
    expect(pulse.locator(".status")).to_have_text("here", timeout=40_000)


def test_a_difference_of_the_shadow_appears(page: Page, console: Console) -> None:
    page.get_by_label("Primary").select_option("asyncpg")
    page.get_by_label("Secondary").select_option("motor")
    page.get_by_role("button", name="Shadow").click()
    expect(page.locator("#shadow-state")).to_contain_text("asyncpg answers")
    answer = httpx2.get(f"{console.url}/shadow/info", trust_env=False)
    assert answer.json()["backend"] == "asyncpg"
    expect(page.locator("#shadow-table")).to_contain_text("GET /info")
    expect(page.locator("#shadow-newest")).to_contain_text("body.backend")


def test_the_state_of_the_shadow_is_written_again_only_when_it_changes(page: Page, console: Console) -> None:
    page.get_by_label("Primary").select_option("asyncpg")
    page.get_by_label("Secondary").select_option("motor")
    page.get_by_role("button", name="Shadow").click()
    expect(page.locator("#shadow-state")).to_contain_text("asyncpg answers")
    page.evaluate(
        """() => {
            window.written = 0;
            const place = document.getElementById("shadow-state");
            new MutationObserver(() => (window.written += 1)).observe(place, { childList: true });
        }"""
    )
    for path in ("livez", "readyz"):
        httpx2.get(f"{console.url}/shadow/{path}", trust_env=False)
        expect(page.locator("#shadow-table")).to_contain_text(f"GET /{path}")
    assert page.evaluate("window.written") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window_in_light_and_dark(
    browser: Browser, console: Console, scheme: str, width: int
) -> None:
    with browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if scheme == "dark" else "light"
    ) as context:
        page = context.new_page()
        page.goto(console.url)
        _send(page, "GET /documents")
        page.locator("#pulses article").first.wait_for()
        assert _sideways(page) == 0
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 22, 26)" if scheme == "dark" else "rgb(250, 249, 246)")
