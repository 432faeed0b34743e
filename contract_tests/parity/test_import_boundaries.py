"""Imports go one way: services to shared, nothing to a service, and no driver outside of its layer."""

import ast
from collections.abc import Iterator, Mapping, Set
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

import pytest

from assay.judge.code import dependencies
from shared.registry import Service, services

ROOT: Final = Path(__file__).parents[2]
SERVICES: Final = {path.name: path for path in sorted(ROOT.glob("services/*")) if path.is_dir()}
NAMES: Final = sorted(SERVICES)
PACKAGES: Final = {f"{name}_service" for name in NAMES}
HOUSE: Final = {"assay", "shared", *PACKAGES}


def brought(service: Service) -> Set[str]:
    """The packages that a service's distribution brings along, and `shared` does not."""
    own = {distribution.metadata["Name"] for distribution in dependencies(service).values()}
    return {package for package, names in packages_distributions().items() if own.intersection(names)}


DRIVERS: Final = {service.name: brought(service) for service in services()}
ALL_DRIVERS: Final = set().union(*DRIVERS.values())


def sources(folder: Path) -> Iterator[Path]:
    """The Python files that belong to the repository."""
    return (file for file in folder.rglob("*.py") if ".venv" not in file.parts)


def imported(file: Path) -> Set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def imports_of(folder: Path, forbidden: Set[str]) -> Mapping[str, Set[str]]:
    """Which files of a folder import something forbidden, and what."""
    found = {str(file.relative_to(ROOT)): imported(file) & forbidden for file in sources(folder)}
    return {file: packages for file, packages in found.items() if packages}


@pytest.mark.parametrize("name", NAMES)
def test_a_service_imports_its_own_driver_and_no_other_and_no_other_service(name: str) -> None:
    forbidden = (ALL_DRIVERS - DRIVERS[name]) | (HOUSE - {"shared", f"{name}_service"})
    assert imports_of(SERVICES[name] / "src", forbidden) == {}


def test_shared_imports_no_driver_no_service_and_no_tool() -> None:
    assert imports_of(ROOT / "shared", ALL_DRIVERS | (HOUSE - {"shared"})) == {}


@pytest.mark.parametrize("folder", ["contract_tests", "compare"])
def test_tools_and_tests_import_no_service_and_no_object_mapper(folder: str) -> None:
    assert imports_of(ROOT / folder, PACKAGES | {"sqlalchemy", "alembic", "tortoise"}) == {}


def test_only_the_tests_of_schemas_and_the_drills_know_a_driver_among_the_tests() -> None:
    knowing = imports_of(ROOT / "contract_tests", ALL_DRIVERS)
    assert {Path(file).parent.name for file in knowing} <= {"parity", "drills"}


def test_packages_are_made_under_src_alone() -> None:
    folders = ("services", "shared", "contract_tests", "compare")
    markers = [file for folder in folders for file in sources(ROOT / folder) if file.name == "__init__.py"]
    assert [str(file.relative_to(ROOT)) for file in markers if "src" not in file.parts] == []


@pytest.mark.parametrize("folder", ["services", "shared", "compare"])
def test_middleware_is_plain_asgi_so_that_a_client_that_hangs_up_frees_its_connection(folder: str) -> None:
    wrappers = ("BaseHTTPMiddleware", '.middleware("http")', ".middleware('http')")
    using = [
        str(file.relative_to(ROOT))
        for file in sources(ROOT / folder)
        if any(wrapper in file.read_text(encoding="utf-8") for wrapper in wrappers)
    ]
    assert using == []
