"""The rows of every arm are made from their numbers alone."""

from collections import Counter

import orjson
import pytest

from assay.measure import dataset
from assay.measure.dataset import BUSY_DOCUMENTS, BUSY_OWNERS, DOCUMENTS, PERIOD, USERS, Rows
from assay.stand import StandError

ROWS = Rows([str(number) for number in range(USERS)], [str(number) for number in range(DOCUMENTS)])


def test_a_document_is_the_same_whenever_it_is_made() -> None:
    assert dataset.document(17) == dataset.document(17) != dataset.document(18)


def test_documents_repeat_after_a_period_so_that_arms_of_one_database_may_change_equal_rows() -> None:
    assert dataset.document(42) == dataset.document(42 + PERIOD)
    assert dataset.document(42, 100) == dataset.document(142, 100)


def test_every_document_has_an_owner_and_the_busy_ones_have_a_full_page() -> None:
    owned = Counter(map(dataset.owner_number, range(DOCUMENTS)))
    assert set(owned) <= set(range(USERS))
    assert all(owned[owner] == BUSY_DOCUMENTS for owner in range(BUSY_OWNERS))


def test_emails_are_all_different() -> None:
    assert len({dataset.user(number)["email"] for number in range(USERS)}) == USERS


@pytest.mark.parametrize("size", [(dataset.LEAST_CONTENT_BYTES, dataset.LEAST_CONTENT_BYTES), (300, 5_000)])
def test_contents_have_the_bytes_that_were_asked_for(size: tuple[int, int]) -> None:
    made = [dataset.document(number, content_bytes=size)["content"] for number in range(400)]
    found = [len(orjson.dumps(content)) for content in made]
    assert size[0] <= min(found) <= max(found) <= size[1]
    assert len(set(found)) == 1 if size[0] == size[1] else len(set(found)) > 300
    assert {frozenset(content) for content in made} == {frozenset(dataset.document(0)["content"])}


def test_lanes_are_apart_and_hold_equal_documents() -> None:
    lanes = [ROWS.lane(number) for number in range(10)]
    assert sum(map(len, lanes)) == len({row for lane in lanes for row in lane}) == DOCUMENTS
    with pytest.raises(StandError, match="have no room for so many arms"):
        ROWS.lane(10)


@pytest.mark.parametrize("documents", [1_000, 7_777, 30_000, DOCUMENTS])
@pytest.mark.parametrize("users", [1_000, USERS])
def test_a_busy_owners_documents_in_a_lane_are_his(users: int, documents: int) -> None:
    rows = Rows(list(map(str, range(users))), list(map(str, range(documents))))
    found = [row for owner in range(len(rows.busy_owners)) for row in rows.owned(owner, lane=0)]
    busy = [row for row in rows.lane(0) if dataset.owner_number(int(row), users) < len(rows.busy_owners)]
    assert set(found) == set(busy)
    for owner in (0, 3):
        owners = {dataset.owner_number(int(row), users) for row in rows.owned(owner, lane=0)[:10]}
        assert owners == {owner}
