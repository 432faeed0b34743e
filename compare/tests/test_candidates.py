"""The libraries under the layers, as candidates.toml and their own metadata tell of them."""

from dataclasses import replace
from datetime import date
from importlib.metadata import requires, version

import pytest

from assay.judge.candidates import candidates, libraries, status_of
from shared.registry import Service, names, services

TOLD_OF = sorted({layer for one in libraries() for layer in one.layers} & set(names()))
"""The layers that are here and on the page."""


def called(name: str) -> list[Service]:
    """A service of that name, whichever are here."""
    return [replace(services()[0], name=name)]


def test_the_page_names_the_versions_that_are_installed() -> None:
    here = [one for one in libraries() if set(one.layers) & set(TOLD_OF)]
    assert here
    assert {one.distribution: one.version for one in here} == {
        one.distribution: version(one.distribution) for one in here
    }


@pytest.mark.parametrize("layer", TOLD_OF)
def test_every_driver_that_a_service_asks_for_is_there(layer: str) -> None:
    asked = {name.partition("[")[0] for name in requires(f"{layer}-service") or []} - {
        "assay-shared",
        "alembic",
    }
    assert asked == {one.distribution for one in libraries() if layer in one.layers}


def test_an_end_of_life_counts_from_its_day() -> None:
    before, *_ = candidates(called("motor"), date(2026, 5, 13))
    after, driver = candidates(called("motor"), date(2026, 5, 14))
    assert (before.distribution, before.end_of_life, before.maintained) == ("motor", "2026-05-14", True)
    assert (after.age_days, after.maintained) == (365, False)
    assert (driver.distribution, driver.maintained) == ("pymongo", True)


def test_a_version_without_a_known_date_has_no_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.judge.candidates.version", lambda _name: "99.0")
    found, *_ = candidates(called("asyncpg"), date(2026, 11, 22))
    assert (found.version, found.released, found.age_days) == ("99.0", None, None)


def test_the_status_is_the_distribution_s_own() -> None:
    assert (status_of("asyncpg"), status_of("starlette")) == ("stable", "alpha")
