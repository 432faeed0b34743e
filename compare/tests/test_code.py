"""What is counted of a layer's code, and that it is counted as a reader would."""

from pathlib import Path

import pytest

from assay.judge import code
from assay.judge.code import Size, code_of, dependencies, size_of
from assay.judge.source import operation_names
from assay.report.care import LayerCode
from shared.registry import Service, services

SOURCE = '''"""A module
that explains itself."""

from typing import Any, cast

# a comment
TEXT = """
kept, it is a value

"""


class Rows:
    """Rows."""

    def one(self, a: Any) -> int:
        """Explained."""

        if a and TEXT:  # why
            return cast(int, a)
        return a  # type: ignore[no-any-return]


def other(
    many: list[int],
) -> list[int]:
    return [one for one in many if one]
'''


def test_lines_are_those_with_code() -> None:
    # from, TEXT with its four lines, class, def one, if, two returns, other with its four
    assert size_of(SOURCE).lines == 1 + 4 + 1 + 1 + 3 + 4


def test_complexity_is_that_of_all_functions() -> None:
    # one: 1 and `if` and `and`; other: 1 and the comprehension and its `if`
    assert size_of(SOURCE).complexity == 3 + 3


def test_where_the_checker_looks_away_is_counted_once_each_and_no_import() -> None:
    assert size_of(SOURCE).untyped == 3


def test_nothing_comes_to_nothing() -> None:
    assert size_of('"""Only words."""\n\n# and a comment\n') == Size(0, 0, 0)


@pytest.fixture(scope="module")
def layers() -> dict[str, LayerCode]:
    return {layer.backend: layer for layer in code_of(services(), findings=False)}


def test_every_layer_is_measured_in_every_operation(layers: dict[str, LayerCode]) -> None:
    assert list(layers) == [service.name for service in services()]
    for layer in layers.values():
        assert [one.operation for one in layer.operations] == operation_names()
        assert all(one.lines > 0 and one.complexity > 0 for one in layer.operations), layer.backend
        assert layer.findings is None
        assert layer.lines > max(one.lines for one in layer.operations)


def test_a_migration_in_sql_counts_as_one_in_python() -> None:
    (asyncpg,) = services("asyncpg")
    folder = code.package_folder(asyncpg)
    assert {path.name for path in folder.rglob("*.sql")}
    python = sum(size_of(path.read_text()).lines for path in folder.rglob("*.py"))
    (found,) = code_of([asyncpg], findings=False)
    assert found.lines > python


def test_a_layer_adds_its_own_libraries_and_none_that_all_need() -> None:
    added = {service.name: set(dependencies(service)) for service in services()}
    assert added["asyncpg"] == {"asyncpg"}
    assert {"sqlalchemy", "greenlet", "alembic", "mako", "asyncpg"} <= added["sqlalchemy"]
    assert {"motor", "pymongo", "dnspython"} <= added["motor"]
    assert not any(
        {"assay-shared", "fastapi", "pydantic", f"{name}-service"} & found for name, found in added.items()
    )


def test_what_is_added_takes_place(layers: dict[str, LayerCode]) -> None:
    assert layers["sqlalchemy"].install_bytes > layers["asyncpg"].install_bytes > 1_000_000


def test_the_type_checker_s_findings_are_the_package_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sample_service"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "users.py").write_text("def get(key):\n    return key\n\n\nNAME: int = 'a'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MYPYPATH", str(tmp_path))
    (asyncpg,) = services("asyncpg")
    sample = Service("sample", "Sample", "sample", "postgresql", asyncpg.open_backend, asyncpg.migrate)
    assert code._findings([sample]) == {"sample": 2}
