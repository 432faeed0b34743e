"""Rooms over WebSocket: frames, rooms, subscriptions (WS-1 to WS-4)."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
from api import Api
from builders import make_document, make_user, unique_word
from expectations import expect_problem
from talkers import connected, open_socket
from websockets.exceptions import InvalidStatus

NOBODY: Final = "01890a5d-ac96-774b-bcce-b302099a8057"

FRAME_MAX: Final = 64 * 1024


@pytest.mark.clause("WS-1")
async def test_a_plain_get_is_told_to_upgrade(api: Api) -> None:
    answer = await api.get("/ws")
    expect_problem(answer, 426, "upgrade-required")
    assert answer.headers["upgrade"] == "websocket"


@pytest.mark.clause("WS-2")
async def test_the_first_frame_is_a_welcome_with_the_clients_id_and_name(api: Api) -> None:
    async with connected(api) as one, connected(api) as other:
        assert one.id != other.id
        # a token gives its holder's name
        assert (one.name == other.name) is (api.token is not None)


@pytest.mark.clause("WS-1")
@pytest.mark.parametrize("value", [None, 0, "ö\U0001f600", {"a": [1, {}]}, 2**70, [1.5]], ids=repr)
async def test_a_ping_gets_its_payload_back(api: Api, value: Any) -> None:
    async with connected(api) as talker:
        await talker.say(type="ping", data=value)
        assert await talker.next() == {"type": "pong", "data": value}


@pytest.mark.clause("WS-1")
async def test_an_echo_comes_back_as_it_was_sent(api: Api) -> None:
    async with connected(api) as talker:
        for frame in ({"type": "echo"}, {"type": "echo", "data": {"deep": [[1], None]}, "text": "hö"}):
            await talker.say(**frame)
            assert await talker.next() == frame


@pytest.mark.clause("WS-1")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "malformed"),
        ("{", "malformed"),
        ('"ping"', "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ('{"type": 1}', "malformed"),
        ('{"type": "ping", "data": NaN}', "malformed"),
        ('{"type": "ping", "data": 1e400}', "malformed"),
        ('{"type": "echo", "data": [-1e400]}', "malformed"),
        ('{"type": "ping", "data": "\\ud800"}', "malformed"),
        ("[" * 5_000, "malformed"),
        ('{"type": "shout"}', "unknown-type"),
        ('{"type": "join"}', "invalid"),
        ('{"type": "join", "room": ""}', "invalid"),
        ('{"type": "join", "room": "a b"}', "invalid"),
        ('{"type": "join", "room": "@01890a5d-ac96-774b-bcce-b302099a8057"}', "invalid"),
        ('{"type": "join", "room": "%s"}' % ("r" * 65), "invalid"),
        ('{"type": "join", "room": "a\\n"}', "invalid"),
        ('{"type": "join", "room": 7}', "invalid"),
        ('{"type": "join", "room": "r", "extra": 1}', "invalid"),
        ('{"type": "message", "room": "r", "text": ""}', "invalid"),
        ('{"type": "message", "room": "r", "text": "\\u0000"}', "invalid"),
        ('{"type": "message", "room": "r", "text": "%s"}' % ("ü" * 4_001), "invalid"),
        ('{"type": "direct", "to": "me", "text": "t"}', "invalid"),
        ('{"type": "subscribe", "topic": "rooms"}', "invalid"),
        ('{"type": "message", "room": "elsewhere", "text": "t"}', "not-in-room"),
        ('{"type": "leave", "room": "elsewhere"}', "not-in-room"),
        (json.dumps({"type": "direct", "to": NOBODY, "text": "t"}), "unknown-client"),
    ],
    ids=lambda value: value[:40],
)
async def test_a_frame_out_of_form_gets_an_error_and_the_connection_stays_open(
    api: Api, text: str, code: str
) -> None:
    async with connected(api) as talker:
        await talker.socket.send(text)
        error = await talker.error(code)
        assert "ü" * 100 not in error["detail"], "the answer repeats the input"
        await talker.say(type="ping", data=1)
        assert (await talker.next())["type"] == "pong"


@pytest.mark.clause("WS-1")
async def test_a_frame_of_64_kib_is_taken_and_one_byte_more_closes(api: Api) -> None:
    filler = FRAME_MAX - len('{"type":"echo","data":""}')
    async with connected(api, max_size=None) as talker:
        await talker.socket.send('{"type":"echo","data":"%s"}' % ("x" * filler))
        assert len((await talker.next())["data"]) == filler
        await talker.socket.send('{"type":"echo","data":"%s"}' % ("x" * (filler + 1)))
        assert await talker.closed() == 1009


@pytest.mark.clause("WS-1")
async def test_a_binary_frame_closes_with_1003(api: Api) -> None:
    async with connected(api) as talker:
        await talker.socket.send(b'{"type":"ping"}')
        assert await talker.closed() == 1003


@pytest.mark.clause("WS-1", "GEN-4", "GEN-7")
@pytest.mark.parametrize("origin", ["https://evil.example", "http://[", "null", "x"])
async def test_pages_of_other_origins_may_not_connect(api: Api, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(api, origin=origin):
            pass
    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["x-request-id"]
    assert json.loads(refused.value.response.body)["type"] == "/problems/forbidden"


@pytest.mark.clause("WS-1")
async def test_the_services_own_page_may_connect(api: Api) -> None:
    async with connected(api, origin=api.origin):
        pass


@pytest.mark.clause("WS-3")
async def test_joins_and_leaves_are_announced_to_all_in_the_room_and_to_no_other(api: Api) -> None:
    room = unique_word("room")
    async with connected(api) as one, connected(api) as two, connected(api) as outsider:
        assert await one.join(room) == {"type": "joined", "room": room, "client_id": one.id, "name": one.name}
        await two.join(room)
        assert (await one.next())["client_id"] == two.id
        await two.say(type="leave", room=room)
        left = {"type": "left", "room": room, "client_id": two.id, "name": two.name}
        assert await two.next() == left
        assert await one.next() == left
        await two.say(type="message", room=room, text="still there?")
        await two.error("not-in-room")
        await outsider.silence(0.1)


@pytest.mark.clause("WS-3")
async def test_a_message_goes_to_everyone_in_the_room_the_sender_too_and_to_no_other(api: Api) -> None:
    room, text = unique_word("room"), "hello \U0001f44b ‮ <b>'\""
    async with connected(api) as one, connected(api) as two, connected(api) as outsider:
        await one.join(room)
        await two.join(room)
        await outsider.join(unique_word("room"))
        await one.say(type="message", room=room, text=text)
        heard = await one.next("message")
        assert (heard["from"], heard["name"], heard["text"], heard["seq"]) == (one.id, one.name, text, 1)
        assert await two.next("message") == heard
        await outsider.silence(0.1)


@pytest.mark.clause("WS-3", "WS-5")
async def test_every_member_hears_the_same_messages_in_the_same_order_numbered_without_a_gap(
    api: Api,
) -> None:
    room, count = unique_word("room"), 10
    async with AsyncExitStack() as stack:
        talkers = [await stack.enter_async_context(connected(api)) for _ in range(5)]
        for talker in talkers:
            await talker.join(room)
        async with asyncio.TaskGroup() as speaking:
            for talker in talkers:
                for number in range(count):
                    text = f"{number}"
                    speaking.create_task(talker.say(type="message", room=room, text=text))
        heard = [await talker.until("message", count * len(talkers)) for talker in talkers]
    assert all(one == heard[0] for one in heard)
    assert [frame["seq"] for frame in heard[0]] == list(range(1, count * len(talkers) + 1))
    for talker in talkers:
        own = [frame["text"] for frame in heard[0] if frame["from"] == talker.id]
        assert sorted(own, key=int) == [str(number) for number in range(count)]


@pytest.mark.clause("WS-3")
async def test_a_room_goes_on_counting_for_those_who_come_later(api: Api) -> None:
    room = unique_word("room")
    async with connected(api) as one:
        await one.join(room)
        await one.say(type="message", room=room, text="first")
        assert (await one.next("message"))["seq"] == 1
    async with connected(api) as two:
        await two.join(room)
        await two.say(type="message", room=room, text="second")
        assert (await two.next("message"))["seq"] == 2


@pytest.mark.clause("WS-3")
async def test_a_client_that_hangs_up_leaves_its_rooms(api: Api) -> None:
    room = unique_word("room")
    async with connected(api) as one:
        await one.join(room)
        async with connected(api) as two:
            await two.join(room)
            await one.next("joined")
            two.socket.transport.abort()
            assert (await one.next("left"))["client_id"] == two.id
        await one.say(type="direct", to=two.id, text="gone?")
        while not await one.hears_error("unknown-client", 0.2):
            await one.say(type="direct", to=two.id, text="still gone?")


@pytest.mark.clause("WS-1", "WS-3")
async def test_frames_are_answered_in_their_order(api: Api) -> None:
    async with connected(api) as talker:
        for number in range(10):
            room = unique_word("room")
            for frame in (
                {"type": "join", "room": room},
                {"type": "ping", "data": 1},
                {"type": "message", "room": room, "text": str(number)},
                {"type": "ping", "data": 2},
                {"type": "leave", "room": room},
                {"type": "ping", "data": 3},
            ):
                await talker.say(**frame)
            kinds = [(await talker.next())["type"] for _ in range(6)]
            assert kinds == ["joined", "pong", "message", "pong", "left", "pong"]


@pytest.mark.clause("WS-3")
async def test_who_breaks_off_while_it_joins_leaves_all_the_same(api: Api) -> None:
    room, joined, left = unique_word("room"), set[str](), set[str]()
    async with connected(api) as observer:
        await observer.join(room)
        for number in range(40):
            async with connected(api) as leaving:
                await leaving.say(type="join", room=room)
                await asyncio.sleep(number % 10 / 2_000)
                leaving.socket.transport.abort()
        await observer.say(type="ping")
        # longer than a lease, which ends who could not be seen off in time
        async with asyncio.timeout(60):
            while (frame := await observer.next())["type"] != "pong" or joined - left:
                if frame["type"] == "pong":
                    await asyncio.sleep(0.05)
                    await observer.say(type="ping")
                elif frame["type"] in ("joined", "left"):
                    (joined if frame["type"] == "joined" else left).add(frame["client_id"])
    assert left <= joined


@pytest.mark.clause("WS-3")
async def test_who_joins_again_is_told_so_and_nobody_else_is(api: Api) -> None:
    room = unique_word("room")
    async with connected(api) as one, connected(api) as two:
        await one.join(room)
        await two.join(room)
        await one.next("joined")
        await two.join(room)
        await one.silence(0.1)
        await two.say(type="message", room=room, text="once")
        await two.next("message")
        await two.silence(0.1)


@pytest.mark.clause("WS-3")
async def test_a_direct_message_reaches_its_client_alone(api: Api) -> None:
    async with connected(api) as one, connected(api) as two, connected(api) as outsider:
        await one.say(type="direct", to=two.id, text="psst")
        heard = await two.next()
        assert (heard["type"], heard["from"], heard["name"], heard["text"]) == (
            "direct",
            one.id,
            one.name,
            "psst",
        )
        await one.silence(0.1)
        await outsider.silence(0.1)
        await one.say(type="direct", to=one.id, text="note to self")
        assert (await one.next())["text"] == "note to self"


@pytest.mark.clause("WS-4")
async def test_a_subscriber_gets_the_events_of_its_topic_on_the_same_connection(api: Api) -> None:
    async with connected(api) as users, connected(api) as documents:
        await users.say(type="subscribe", topic="users")
        assert await users.next() == {"type": "subscribed", "topic": "users"}
        await documents.say(type="subscribe", topic="documents")
        await documents.next("subscribed")
        owner = await make_user(api)
        document = await make_document(api, owner)
        while (event := (await users.next("event"))["event"])["resource_id"] != owner["id"]:
            pass
        assert (event["type"], event["version"], event["owner_id"]) == ("user.created", 1, owner["id"])
        assert set(event) == {"id", "type", "resource_id", "owner_id", "version", "at"}
        while (event := (await documents.next("event"))["event"])["resource_id"] != document["id"]:
            assert event["type"].startswith("document."), event
        assert (event["type"], event["owner_id"]) == ("document.created", owner["id"])


@pytest.mark.clause("WS-4")
async def test_who_subscribes_again_gets_no_event_twice(api: Api) -> None:
    async with connected(api) as talker:
        for _ in range(2):
            await talker.say(type="subscribe", topic="users")
            await talker.next("subscribed")
        user = await make_user(api)
        await talker.say(type="ping")
        seen: list[str] = []
        async with asyncio.timeout(20):
            while len(seen) < 1 or seen[-1] != user["id"]:
                seen.append((await talker.next("event"))["event"]["resource_id"])
        await asyncio.sleep(0.3)
        await talker.say(type="echo", data="end")
        while (frame := await talker.next())["type"] != "echo":
            assert frame["type"] != "event" or frame["event"]["resource_id"] != user["id"]
