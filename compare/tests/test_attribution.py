"""Splits from figures of a run, and what they blame."""

from collections.abc import Mapping
from typing import Literal

import pytest

from assay.measure.attribution import blame, splits
from assay.report.figures import Split
from assay.report.model import Arm, Cell
from assay.report.part import Interval

COSTS = {
    "users.get": {"floor-http": 96.0, "bare": 38.0, "floor-asyncpg": 88.0, "floor-motor": 236.0},
    "dashboard": {},
}
SERVICES = {"asyncpg": (171.0, 52.0), "sqlalchemy": (402.0, 63.0), "motor": (389.0, 121.0)}


def arm(name: str, kind: Literal["service", "floor", "url"], database: str | None) -> Arm:
    return Arm.model_validate(
        {
            "name": name,
            "title": name,
            "kind": kind,
            "backend": None,
            "layer": name,
            "database": database,
            "alarms": [],
            "failures": [],
            "excluded": None,
        }
    )


def cell(name: str, scenario: str, service: float | None, database: float | None) -> Cell:
    def interval(value: float | None) -> Interval | None:
        return None if value is None else Interval(value=value, low=value * 0.97, high=value * 1.03)

    return Cell(
        arm=name,
        scenario=scenario,
        missing=None,
        service_cpu=interval(service),
        database_cpu=interval(database),
    )


ARMS = [
    arm("asyncpg", "service", "postgresql"),
    arm("sqlalchemy", "service", "postgresql"),
    arm("motor", "service", "mongodb"),
    arm("elsewhere", "url", None),
    *(arm(name, "floor", None) for name in COSTS["users.get"]),
]


def cells(scenario: str = "users.get", changed: Mapping[str, float] | None = None) -> list[Cell]:
    services = [cell(name, scenario, *costs) for name, costs in SERVICES.items()]
    floors = {**COSTS[scenario], **(changed or {})}
    return [
        *services,
        cell("elsewhere", scenario, None, None),
        *(cell(name, scenario, c, None) for name, c in floors.items()),
    ]


def test_the_parts_come_to_what_the_service_costs() -> None:
    found = {split.arm: split for split in splits(cells(), ARMS, {("motor", "users.get"): 210.0})}
    assert list(found) == ["asyncpg", "sqlalchemy", "motor", "elsewhere"]
    asyncpg, motor = found["asyncpg"], found["motor"]
    assert (asyncpg.framework, asyncpg.driver, asyncpg.layer) == (96.0, 50.0, 25.0)
    assert (asyncpg.database, asyncpg.waiting, asyncpg.joined) == (52.0, None, [])
    assert (motor.driver, motor.layer, motor.waiting) == (198.0, 95.0, 210.0)
    assert found["elsewhere"].missing == "its CPU cannot be read from here"


def test_what_no_floor_tells_apart_is_the_layers() -> None:
    alone = {split.arm: split for split in splits(cells("dashboard"), ARMS, {})}["sqlalchemy"]
    assert (alone.layer, alone.joined) == (402.0, ["framework", "driver"])
    assert (alone.framework, alone.driver) == (None, None)


@pytest.mark.parametrize(
    ("changed", "layer", "joined"),
    [
        ({"floor-asyncpg": 30.0}, 75.0, ["driver"]),  # less than the bare application: noise
        ({"floor-asyncpg": 120.0}, 75.0, ["driver"]),  # 96 and 82 are more than the 171 of the service
        ({"floor-http": 180.0}, 121.0, ["framework"]),
    ],
)
def test_an_impossible_part_joins_the_layer(
    changed: dict[str, float], layer: float, joined: list[str]
) -> None:
    split = splits(cells(changed=changed), ARMS, {})[0]
    assert (split.layer, split.joined) == (layer, joined)
    assert (split.framework or 0) + (split.driver or 0) + layer == 171.0


def test_a_missing_cell_is_a_missing_split() -> None:
    failed = Cell(arm="motor", scenario="users.get", missing="7 of 90 requests failed")
    split = splits([failed], ARMS, {})[0]
    assert (split.missing, split.layer) == ("7 of 90 requests failed", None)
    with pytest.raises(ValueError, match="no split of motor"):
        blame(split, split)


def whole(name: str, **parts: float | None) -> Split:
    usual = {"framework": 96.0, "driver": 50.0, "layer": 25.0, "database": 52.0, "waiting": 180.0}
    joined = [part for part, cost in parts.items() if cost is None and part in {"framework", "driver"}]
    return Split.model_validate(
        {"arm": name, "scenario": "users.get", "missing": None, "joined": joined, **usual, **parts}
    )


@pytest.mark.parametrize(
    ("parts", "blamed"),
    [
        ({"layer": 43.0, "waiting": 170.0}, "layer"),
        ({"database": 90.0, "waiting": 190.0}, "database"),
        ({"waiting": 2_180.0, "layer": 60.0}, "waiting"),
        ({"driver": 20.0, "layer": 27.0}, "driver"),
        ({"driver": None, "layer": 125.0}, "layer"),  # 75 of it would be the other one's driver and layer
        ({"waiting": None, "database": 80.0}, "database"),
    ],
)
def test_the_part_that_differs_most_is_blamed(parts: dict[str, float | None], blamed: str) -> None:
    assert blame(whole("changed", **parts), whole("asyncpg")) == blamed
    assert blame(whole("asyncpg"), whole("changed", **parts)) == blamed
