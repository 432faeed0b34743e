"""docs/operations.md names the settings that there are, and leads to what there is."""

import re
from typing import Final

import pytest
from settings_table import PAGE, with_table

TEXT: Final = PAGE.read_text(encoding="utf-8")
LINKS: Final = sorted(set(re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", TEXT)))


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert with_table(TEXT) == TEXT, "run `just generate`"


@pytest.mark.parametrize("link", LINKS)
def test_a_link_of_the_page_leads_somewhere(link: str) -> None:
    assert (PAGE.parent / link).exists()
