"""The rows of every arm are made from their numbers alone."""

from collections import Counter

from assay.measure import dataset
from assay.measure.dataset import BUSY_DOCUMENTS, BUSY_OWNERS, DOCUMENTS, PERIOD, USERS


def test_a_document_is_the_same_whenever_it_is_made() -> None:
    assert dataset.document(17) == dataset.document(17) != dataset.document(18)


def test_documents_repeat_after_a_period_so_that_arms_of_one_database_may_change_equal_rows() -> None:
    assert dataset.document(42) == dataset.document(42 + PERIOD)


def test_every_document_has_an_owner_and_the_busy_ones_have_a_full_page() -> None:
    owned = Counter(map(dataset.owner_number, range(DOCUMENTS)))
    assert set(owned) <= set(range(USERS))
    assert all(owned[owner] == BUSY_DOCUMENTS for owner in range(BUSY_OWNERS))


def test_emails_are_all_different() -> None:
    assert len({dataset.user(number)["email"] for number in range(USERS)}) == USERS
