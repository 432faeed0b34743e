"""docs/divergences.md says what the tests pin."""

import pytest
from divergences import PAGE, page


@pytest.mark.clause("GEN-14")
def test_the_page_of_awkward_values_is_the_table_that_the_tests_run() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        f"run python contract_tests/divergences.py: {PAGE.name}"
    )
