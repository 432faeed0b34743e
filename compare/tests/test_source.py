"""How a service answers an operation, found in its source."""

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.judge.source import UnknownOperation, operation, operation_names, operations
from shared.registry import Service, services

USERS = '''"""Users on a layer that only this test has."""

from sample_service.models import to_user
from sample_service.statements import ORDER as BY_ID

_FIELDS = "id, email"
# the comment that says why
_SELECT = f"""
    SELECT {_FIELDS} FROM users {BY_ID}
"""
_UNUSED = "DELETE FROM users"


class Users:
    def __init__(self, conn: object) -> None:
        self._conn = conn

    @property
    def open(self) -> bool:
        return True

    # a method may be explained as well
    async def get(self, user_id: str) -> str:
        row = await self._row(_SELECT, user_id)
        text = """
left margin
"""
        return to_user(_named(row) + text)

    async def list(self) -> list[str]:
        return [await self.get("1")]

    async def _row(self, statement: str, user_id: str) -> str:
        return statement + user_id


def _named(row: str) -> str:
    return _trimmed(row)


def _trimmed(row: str) -> str:
    return row.strip()
'''


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    folder = tmp_path / "sample_service"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "users.py").write_text(USERS)
    (folder / "models.py").write_text("def to_user(row: str) -> str:\n    return row\n")
    (folder / "statements.py").write_text('_KEY = "id"\nORDER = f"ORDER BY {_KEY}"\n_OTHER = "email"\n')
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    asyncpg = next(service for service in services() if service.name == "asyncpg")
    yield Service("sample", "Sample", "sample", "postgresql", asyncpg.open_backend, asyncpg.migrate)
    sys.modules.pop("sample_service", None)


def test_a_method_comes_with_all_that_it_uses_of_its_package(layer: Service) -> None:
    (found,) = operation("users.get", [layer]).implementations
    assert found.source.startswith("# a method may be explained as well\nasync def get(self, user_id: str)")
    for used in (
        "_FIELDS =",
        "# the comment that says why\n_SELECT",
        "def _row(",
        "def _named(",
        "def _trimmed(",
    ):
        assert used in found.source
    assert found.source.endswith('_KEY = "id"\n\nORDER = f"ORDER BY {_KEY}"')
    for other in ("_OTHER", "def to_user", "_UNUSED", "def open", "def list", "class Users", "__init__"):
        assert other not in found.source
    assert "\nleft margin\n" in found.source
    ast.parse(found.source)


def test_place_and_length_are_those_of_the_file(layer: Service) -> None:
    (found,) = operation("users.get", [layer]).implementations
    assert (found.backend, found.file) == ("sample", "sample_service/users.py")
    assert USERS.splitlines()[found.line - 1].strip() == "async def get(self, user_id: str) -> str:"
    assert found.lines == sum(bool(line.strip()) for line in found.source.splitlines())


def test_a_public_method_is_not_dragged_along(layer: Service) -> None:
    (found,) = operation("users.list", [layer]).implementations
    assert found.source == 'async def list(self) -> list[str]:\n    return [await self.get("1")]'


def test_what_a_service_lacks_is_left_out(layer: Service) -> None:
    assert operation("users.delete", [layer]).implementations == []
    assert operation("documents.get", [layer]).implementations == []


def test_an_unknown_operation_names_the_known() -> None:
    with pytest.raises(UnknownOperation, match=r"'documents\.move'.*documents\.transfer"):
        operation("documents.move")


def test_every_operation_of_the_ports_is_answered_by_every_service() -> None:
    found = operations()
    assert [one.name for one in found] == operation_names()
    for one in found:
        assert one.promise, one.name
        assert [answer.backend for answer in one.implementations] == [service.name for service in services()]
        for answer in one.implementations:
            ast.parse(answer.source)


def test_the_statement_is_shown_under_its_method() -> None:
    answers = {found.backend: found.source for found in operation("documents.transfer").implementations}
    assert "FOR UPDATE" in answers["asyncpg"]
    assert answers["asyncpg"].startswith("async def transfer(")
