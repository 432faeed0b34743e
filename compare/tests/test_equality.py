"""Answers are compared by value: what differs between databases is looked past, all else is found."""

import orjson
import pytest

from assay.judge.equality import Held, Ledger, Look, Mismatch, normalised
from assay.measure.samples import SampledAnswer

USER = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "email": "new1@lane0.example",
    "name": "Ada",
    "version": 1,
    "created_at": "2026-11-22T06:33:27.230Z",
}


def answer(body: object, index: int = 0, status: int = 200) -> SampledAnswer:
    return SampledAnswer(index, status, orjson.dumps(body))


def held(baseline: list[SampledAnswer], arm: list[SampledAnswer], look: Look = normalised) -> Held:
    ledger = Ledger("one", ["other"], look)
    ledger.add("one", baseline)
    ledger.add("other", arm)
    ledger.settle()
    return ledger.held("other")


@pytest.mark.parametrize(
    "other",
    [
        {**USER, "id": "01890a5d-ac96-774b-bcce-ffffffffffff"},
        {**USER, "created_at": "2026-11-22T06:33:28.001Z"},
        {**USER, "email": "new1@lane3.example"},
        dict(reversed(USER.items())),
        {**USER, "version": 1.0},
    ],
    ids=["id", "time", "label", "order of keys", "spelling of a number"],
)
def test_what_may_differ_between_databases_is_looked_past(other: object) -> None:
    assert held([answer(USER)], [answer(other)]) == Held(compared=1)


@pytest.mark.parametrize(
    "other",
    [
        {**USER, "name": "Bob"},
        {**USER, "version": 2},
        {**USER, "version": True},
        {**USER, "id": None},
        {**USER, "created_at": "yesterday"},
        {**USER, "extra": 1},
        [USER],
    ],
    ids=["text", "number", "boolean for a number", "no id", "no time", "one field more", "an array"],
)
def test_any_other_difference_is_found(other: object) -> None:
    found = held([answer(USER)], [answer(other)])
    assert (found.compared, found.wrong) == (1, 1)
    assert found.first is not None
    assert found.first.index == 0


def test_another_status_is_a_difference() -> None:
    assert held([answer(USER)], [answer(USER, status=201)]).wrong == 1


def test_only_answers_to_the_same_request_are_compared() -> None:
    baseline, arm = [answer(1, 0), answer(2, 7)], [answer(2, 7), answer(3, 14)]
    assert held(baseline, arm) == Held(compared=1)


def test_all_wrong_answers_are_counted_and_the_first_is_shown() -> None:
    baseline = [answer(number, number) for number in range(200)]
    arm = [answer(-1 if number in {40, 150} else number, number) for number in reversed(range(200))]
    assert held(baseline, arm) == Held(200, 2, Mismatch(40, "200 40", "200 -1"))


def test_a_scenario_may_look_otherwise() -> None:
    assert held([answer({"a": 1})], [answer({"a": 2})], look=sorted).wrong == 0
    assert held([answer({"a": 1})], [answer({"b": 1})], look=sorted).wrong == 1


def test_answers_may_come_in_parts_and_arms_at_their_own_pace() -> None:
    ledger = Ledger("one", ["fast", "slow"])
    ledger.add("one", [answer(number, number) for number in range(10)])
    ledger.add("fast", [answer(number, number) for number in range(20)])
    ledger.settle()
    ledger.add("slow", [answer(0, number) for number in range(3)])
    ledger.add("one", [answer(number, number) for number in range(10, 15)])
    ledger.add("nobody", [answer(0, 0)])
    ledger.settle()
    assert ledger.held("fast") == Held(compared=15)
    assert ledger.held("slow") == Held(3, 2, Mismatch(1, "200 1", "200 0"))
