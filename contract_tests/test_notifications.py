"""Mails to users: an outbox, and workers that empty it (BG-2)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import pytest
from api import Api
from builders import make_user, unique_email, unique_word
from expectations import Json, check_id, expect_gone, expect_page, expect_problem, walk
from mail_server import ACCEPTED, REFUSED, MailServer
from prometheus_client.parser import text_string_to_metric_families
from targets import Target

from assay.stand import Stand
from shared.registry import Service

FIELDS: Final = {"id", "user_id", "subject", "body", "status", "attempts", "created_at", "sent_at"}
PAUSE: Final = 0.03
SOON: Final = 30.0
HIDDEN: Final = "=?utf-8?q?x=0D=0ABcc:_eve@mail.example?= "
"""What becomes a header of its own where somebody decodes too much."""
NOBODY: Final = "01890000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Post:
    """Two processes of one backend, and the server that both hand their mails in at."""

    server: MailServer
    apis: tuple[Api, Api]
    stand: Stand
    service: Service

    def environment(self, **more: str) -> dict[str, str]:
        return {"SMTP_URL": self.server.url, "MAIL_PAUSE": str(PAUSE), **more}


@pytest.fixture(scope="module")
async def both(target: Target, second_stand: Stand | None) -> AsyncIterator[Post]:
    """Started once for the tests of this module."""
    if second_stand is None or target.service is None:
        pytest.skip("what runs behind a URL takes mail to a server that is not ours")
    async with MailServer() as server:
        environment = {"SMTP_URL": server.url, "MAIL_PAUSE": str(PAUSE)}
        started = [
            await second_stand.start_service(target.service, name=name, environment=environment)
            for name in ("mailing", "mailing-too")
        ]
        async with Api(target.name, started[0].url) as one, Api(target.name, started[1].url) as other:
            yield Post(server, (one, other), second_stand, target.service)
            assert [*one.misfits, *other.misfits] == []
        for running in started:
            await running.stop()


@pytest.fixture
def post(both: Post) -> Post:
    """With a server that takes all mail."""
    both.server.reply, both.server.seconds = ACCEPTED, 0.0
    return both


async def _notify(api: Api, user: Json, subject: str, body: str = "Hello.", **options: Any) -> str:
    """The id of the notification."""
    path = f"/users/{user['id']}/notifications"
    response = await api.post(path, json={"subject": subject, "body": body}, **options)
    assert response.status_code == 202, response.text
    queued = response.json()
    assert queued == {"id": queued["id"], "status": "queued"}
    check_id(queued["id"])
    return str(queued["id"])


async def _settled(api: Api, user: Json, is_settled: Callable[[Json], bool]) -> list[Json]:
    """The user's notifications, once all are settled."""
    async with asyncio.timeout(SOON):
        while True:
            items = await walk(api, f"/users/{user['id']}/notifications")
            if all(map(is_settled, items)):
                return items
            await asyncio.sleep(0.02)


def _is_sent(notification: Json) -> bool:
    return bool(notification["status"] == "sent")


def _has_ended(notification: Json) -> bool:
    return bool(notification["status"] != "queued")


@pytest.mark.clause("BG-2")
async def test_without_a_mail_server_nothing_is_taken_nor_stored(api: Api) -> None:
    user = await make_user(api)
    path = f"/users/{user['id']}/notifications"
    refused = await api.post(path, json={"subject": "s", "body": "b"})
    expect_problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"]
    assert expect_page(await api.get(path)) == ([], None)


@pytest.mark.clause("BG-2", "GEN-3")
async def test_a_notification_is_queued_mailed_and_then_shown_as_sent(post: Post) -> None:
    api, subject = post.apis[0], unique_word()
    user = await make_user(api)
    notification_id = await _notify(api, user, subject, "Dear Ada,\nhello.\n")
    (sent,) = await _settled(api, user, _is_sent)
    assert set(sent) == FIELDS
    assert sent["sent_at"] >= sent["created_at"]
    assert (sent["id"], sent["user_id"], sent["attempts"]) == (notification_id, user["id"], 1)
    assert (sent["subject"], sent["body"]) == (subject, "Dear Ada,\nhello.\n")
    (mail,) = post.server.of(subject)
    assert mail.recipient == user["email"]
    assert mail.text.splitlines() == ["Dear Ada,", "hello."]
    assert notification_id in mail.message["Message-ID"]
    assert mail.message["Date"]


@pytest.mark.clause("BG-2", "USR-1")
@pytest.mark.parametrize(
    ("local", "domain", "reached"),
    [
        pytest.param("o'brien+x", "mail.example", "mail.example", id="apostrophe"),
        pytest.param("!#$%&*/=?^_`{|}~-", "mail.example", "mail.example", id="every sign"),
        pytest.param("jörg.日本", "mail.example", "mail.example", id="local part in any script"),
        pytest.param("jörg", "müller.example", "müller.example", id="all in any script"),
        pytest.param("ada", "bücher.example", "xn--bcher-kva.example", id="domain as the DNS has it"),
    ],
)
async def test_any_address_that_a_user_may_have_is_reached(
    post: Post, local: str, domain: str, reached: str
) -> None:
    api, subject, word = post.apis[0], unique_word(), unique_word()
    user = await make_user(api, email=f"{local}.{word}@{domain}")
    await _notify(api, user, subject)
    await _settled(api, user, _is_sent)
    assert [mail.recipient for mail in post.server.of(subject)] == [f"{local}.{word}@{reached}"]


@pytest.mark.clause("BG-2", "GEN-5")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(".\n..\n.\r\nQUIT\n", id="dots"),
        pytest.param("x" * 20_000, id="one long line"),
        pytest.param("日本語 \U0001f600 e\u0301", id="any script"),
        pytest.param("a\x01\x1b[0m\x85\u2028b", id="controls"),
        pytest.param("=?utf-8?q?x?= Bcc: eve@mail.example", id="like a header"),
    ],
)
async def test_a_body_arrives_as_it_is_line_ends_apart(post: Post, body: str) -> None:
    api, subject = post.apis[0], unique_word()
    user = await make_user(api)
    await _notify(api, user, subject, body)
    await _settled(api, user, _is_sent)
    (mail,) = post.server.of(subject)
    arrived = mail.text.replace("\r\n", "\n").removesuffix("\n")
    assert arrived == body.replace("\r\n", "\n").removesuffix("\n")


@pytest.mark.clause("BG-2")
@pytest.mark.parametrize(
    "start", ["日本語 für ", "a b" * 60, "Bcc: eve@mail.example ", "x\u2028Bcc: eve@a.b ", HIDDEN]
)
async def test_a_subject_stays_a_subject(post: Post, start: str) -> None:
    api, word = post.apis[0], unique_word()
    user = await make_user(api)
    await _notify(api, user, f"{start}{word}")
    await _settled(api, user, _is_sent)
    (mail,) = [mail for mail in post.server.tries if mail.recipient == user["email"]]
    assert mail.message["Subject"] == f"{start}{word}".replace("\u2028", " ")
    assert mail.message["Bcc"] is None


@pytest.mark.clause("BG-2")
@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"subject": ""}, ["body", "subject"]),
        ({"subject": "x" * 201}, ["body", "subject"]),
        ({"subject": "a\nBcc: eve@mail.example"}, ["body", "subject"]),
        ({"subject": "a\x7fb"}, ["body", "subject"]),
        ({"subject": "a\x85b"}, ["body", "subject"]),
        ({"subject": 5}, ["body", "subject"]),
        ({"body": ""}, ["body", "body"]),
        ({"body": "x" * 20_001}, ["body", "body"]),
        ({"to": "eve@mail.example"}, ["body", "to"]),
    ],
)
async def test_what_is_no_notification_is_invalid(post: Post, fields: Json, loc: list[str | int]) -> None:
    body = {"subject": "s", "body": "b", **fields}
    response = await post.apis[0].post(f"/users/{NOBODY}/notifications", json=body)
    expect_problem(response, 422, "validation", loc)


@pytest.mark.clause("BG-2")
async def test_nobody_gets_no_notification(post: Post) -> None:
    path = f"/users/{NOBODY}/notifications"
    expect_problem(await post.apis[0].post(path, json={"subject": "s", "body": "b"}), 404, "not-found")
    expect_problem(await post.apis[0].get(path), 404, "not-found")


@pytest.mark.clause("BG-2", "GEN-9")
async def test_notifications_are_listed_newest_first_page_by_page(post: Post) -> None:
    api = post.apis[0]
    user = await make_user(api)
    made = [await _notify(api, user, unique_word()) for _ in range(5)]
    path = f"/users/{user['id']}/notifications"
    assert [item["id"] for item in await walk(api, path, {"limit": 2})] == made[::-1]
    cursor = expect_page(await api.get(path, params={"limit": 2}))[1]
    other = await make_user(api)
    expect_problem(
        await api.get(f"/users/{other['id']}/notifications", params={"cursor": cursor}), 422, "validation"
    )


@pytest.mark.clause("BG-2", "GEN-13")
async def test_a_repeated_request_under_a_key_sends_one_mail(post: Post) -> None:
    api, subject, key = post.apis[0], unique_word(), {"Idempotency-Key": unique_word()}
    user = await make_user(api)
    ids = {await _notify(one, user, subject, headers=key) for one in (*post.apis, *post.apis)}
    assert len(ids) == 1
    await _settled(api, user, _is_sent)
    assert len(post.server.of(subject)) == 1


@pytest.mark.clause("BG-2")
async def test_two_processes_deliver_each_mail_exactly_once(post: Post) -> None:
    user = await make_user(post.apis[0])
    subjects = [unique_word() for _ in range(60)]
    async with asyncio.TaskGroup() as clients:
        for number, subject in enumerate(subjects):
            clients.create_task(_notify(post.apis[number % 2], user, subject))
    items = await _settled(post.apis[0], user, _is_sent)
    delivered = Counter(
        mail.message["Subject"] for mail in post.server.tries if mail.recipient == user["email"]
    )
    assert delivered == Counter(subjects)
    assert {item["attempts"] for item in items} == {1}


@pytest.mark.clause("BG-2")
async def test_failed_tries_are_repeated_with_growing_pauses_and_the_fifth_is_the_last(post: Post) -> None:
    api, subject = post.apis[0], unique_word()
    user = await make_user(api)
    post.server.reply = REFUSED
    await _notify(api, user, subject)
    (item,) = await _settled(api, user, _has_ended)
    assert (item["status"], item["attempts"], item["sent_at"]) == ("failed", 5, None)
    times = [mail.at for mail in post.server.of(subject)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 5
    assert all(pause >= PAUSE * 4**number for number, pause in enumerate(pauses)), pauses
    assert pauses[-1] > pauses[0]


@pytest.mark.clause("BG-2", "OPS-3")
async def test_tries_are_counted_by_how_they_ended(post: Post) -> None:
    api = post.apis[0]
    user, before = await make_user(api), await _tries(post)
    post.server.reply = REFUSED
    await _notify(api, user, unique_word())
    await _settled(api, user, _has_ended)
    post.server.reply = ACCEPTED
    await _notify(api, user, unique_word())
    await _settled(api, user, _has_ended)
    after = await _tries(post)
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {
        "sent": 1,
        "put_off": 4,
        "given_up": 1,
    }


async def _tries(post: Post) -> Counter[str]:
    """Of both processes, by their outcome."""
    counted: Counter[str] = Counter()
    for api in post.apis:
        for family in text_string_to_metric_families((await api.get("/metrics")).text):
            if family.name == "assay_mail_tries":
                counted.update({one.labels["outcome"]: int(one.value) for one in family.samples})
    return counted


@pytest.mark.clause("BG-2")
async def test_a_mail_is_sent_when_its_server_takes_mail_again(post: Post) -> None:
    api, subject = post.apis[0], unique_word()
    user = await make_user(api)
    post.server.reply = REFUSED
    await _notify(api, user, subject)
    async with asyncio.timeout(SOON):
        while len(post.server.of(subject)) < 2:
            await asyncio.sleep(0.01)
    post.server.reply = ACCEPTED
    (item,) = await _settled(api, user, _is_sent)
    assert item["attempts"] == len(post.server.of(subject))


@pytest.mark.clause("BG-2")
async def test_a_mail_waits_for_a_server_that_is_not_there(post: Post) -> None:
    api, subject = post.apis[0], unique_word()
    user = await make_user(api)
    post.server.close()
    await asyncio.sleep(1.2)  # until idle workers have given their connections back
    await _notify(api, user, subject)
    await _settled(api, user, lambda item: item["attempts"] > 0)
    await post.server.open()
    await _settled(api, user, _is_sent)
    assert len(post.server.of(subject)) == 1


@pytest.mark.clause("BG-2", "USR-5")
async def test_mails_to_a_deleted_user_are_dropped(post: Post) -> None:
    api, subject = post.apis[0], unique_word()
    user = await make_user(api)
    post.server.reply = REFUSED
    await _notify(api, user, subject)
    await _settled(api, user, lambda item: item["attempts"] > 0)
    expect_gone(await api.delete(f"/users/{user['id']}"))
    await asyncio.sleep(1)  # a try that was under way
    tries = len(post.server.of(subject))
    post.server.reply = ACCEPTED
    expect_problem(await api.get(f"/users/{user['id']}/notifications"), 404, "not-found")
    await asyncio.sleep(PAUSE * 4**3 + 0.3)
    assert len(post.server.of(subject)) == tries


@pytest.mark.clause("BG-2", "GEN-11")
async def test_a_killed_worker_loses_no_mail(both: Post) -> None:
    environment, subject = both.environment(MAIL_LEASE="1.5"), unique_word()
    async with MailServer() as slow:
        slow.seconds = 30.0
        environment["SMTP_URL"] = slow.url
        running = await both.stand.start_service(both.service, name="killed", environment=environment)
        async with Api(both.service.name, running.url) as api:
            user = await make_user(api, email=unique_email())
            # the workers beside it may take it first: then they deliver it, which is as good
            both.server.reply, both.server.seconds = ACCEPTED, 0.0
            await _notify(api, user, subject)
            async with asyncio.timeout(SOON):
                while not (slow.of(subject) or both.server.of(subject)):
                    await asyncio.sleep(0.01)
            await running.child.kill(0)
    await _settled(both.apis[0], user, _is_sent)
    assert both.server.of(subject)
