"""Rooms as a process hears them: who is in one is decided by its log."""

import orjson

from shared.rules import ids
from shared.schemas.rooms import Post
from shared.work.rooms import Member, Room


def _post(place: int, kind: str, member: Member) -> Post:
    return Post("r", place, None, Member.frame(kind, room="r", client_id=member.id, name=member.name))


def test_who_is_told_to_have_left_is_out_and_may_join_again() -> None:
    heard = list[str]()
    member = Member(ids.new_id(), "Ada", heard.append, heard.clear)
    room = Room(0)
    for place in (1, 3):
        room.joining[member.id] = member
        room.take([_post(place, "joined", member)])
        assert (member.rooms, [*room.members]) == ({"r"}, [member.id])
        # nobody here asked for it
        room.take([_post(place + 1, "left", member)])
        assert (member.rooms, [*room.members]) == (set(), [])
    assert [orjson.loads(frame)["type"] for frame in heard] == ["joined", "left"] * 2
