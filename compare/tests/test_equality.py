"""Answers are compared by value: what differs between databases is looked past, all else is found."""

import orjson
import pytest

from assay.judge.equality import compared, mismatch
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
    assert mismatch([answer(USER)], [answer(other)]) is None


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
    found = mismatch([answer(USER)], [answer(other)])
    assert found is not None
    assert found.index == 0


def test_another_status_is_a_difference() -> None:
    assert mismatch([answer(USER)], [answer(USER, status=201)]) is not None


def test_only_answers_to_the_same_request_are_compared() -> None:
    baseline, arm = [answer(1, 0), answer(2, 7)], [answer(2, 7), answer(3, 14)]
    assert compared(baseline, arm) == 1
    assert mismatch(baseline, arm) is None
