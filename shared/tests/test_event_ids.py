"""Ids of events: where they go on, and which are none (EVT-3)."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.rules.event_ids import EventIds

SECRET = b"a secret of the data"
AT = datetime(2026, 11, 22, 6, 33, 27, 230_000, UTC)


@pytest.mark.parametrize("position", ["", "0007", "f" * 32, "8263…"])
def test_an_id_opens_to_its_position_and_its_time_in_every_process_with_the_secret(position: str) -> None:
    opened = EventIds(SECRET).open(EventIds(SECRET).seal(position, AT))
    assert opened is not None
    assert opened[0] == position
    assert AT - opened[1] < timedelta(seconds=1)


def test_an_id_is_short_and_safe_in_headers_and_urls() -> None:
    event_id = EventIds(SECRET).seal("f" * 32, AT)
    assert len(event_id) < 100
    assert event_id.isascii()
    assert event_id.replace("-", "").replace("_", "").isalnum()


def test_every_changed_letter_and_every_cut_makes_it_none() -> None:
    ids = EventIds(SECRET)
    event_id = ids.seal("0007", AT)
    # the last letter holds bits that mean nothing
    for place in range(len(event_id) - 1):
        changed = "A" if event_id[place] != "A" else "B"
        assert ids.open(event_id[:place] + changed + event_id[place + 1 :]) is None
        assert ids.open(event_id[:place]) is None


@pytest.mark.parametrize("forged", ["", "0", "…", "%00", "\x00", "a" * 10_000, "W10", "AAAA" * 8])
def test_what_nobody_sealed_is_none(forged: str) -> None:
    assert EventIds(SECRET).open(forged) is None
