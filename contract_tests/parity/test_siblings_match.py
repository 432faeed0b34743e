"""The services read side by side: the same modules, classes, methods, order and signatures as the ports."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PORTS: Final = ROOT / "shared/src/shared/ports"
SERVICES: Final = {
    source.parent.parent.name: source for source in sorted(ROOT.glob("services/*/src/*_service"))
}
NAMES: Final = sorted(SERVICES)
PORT_MODULES: Final = sorted(
    file.stem for file in PORTS.glob("*.py") if file.stem not in ("__init__", "backend")
)
MODULES: Final = {"__init__", "__main__", "app", "database", "models", "statements", *PORT_MODULES}

Signatures = dict[str, list[str]]


def public(name: str) -> bool:
    return not name.startswith("_")


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def classes(module: ast.Module) -> Iterator[ast.ClassDef]:
    """The public classes of a module, in order."""
    return (node for node in module.body if isinstance(node, ast.ClassDef) and public(node.name))


def signatures(module: ast.Module) -> Signatures:
    """The public methods of each public class as `async def name(arguments) -> answer`, in order."""
    return {
        found.name: [
            _signature(method)
            for method in found.body
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and public(method.name)
        ]
        for found in classes(module)
    }


def _signature(method: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    is_awaited = isinstance(method, ast.AsyncFunctionDef) and not _yields(method)
    keyword = "async def" if is_awaited else "def"
    answer = ast.unparse(method.returns) if method.returns else "nothing said"
    return f"{keyword} {method.name}({ast.unparse(method.args)}) -> {answer}"


def names(source: Path) -> set[str]:
    """The modules of a service; its migrations are a package of their own."""
    return {file.stem for file in source.glob("*.py")}


@pytest.mark.parametrize("name", NAMES)
def test_a_service_has_the_modules_that_all_have(name: str) -> None:
    assert names(SERVICES[name]) == MODULES
    assert (SERVICES[name] / "migrations").is_dir()


@pytest.mark.parametrize("module", PORT_MODULES)
@pytest.mark.parametrize("name", NAMES)
def test_a_layers_methods_are_those_of_the_port_in_its_order(name: str, module: str) -> None:
    port = signatures(parsed(PORTS / f"{module}.py"))
    layer = signatures(parsed(SERVICES[name] / f"{module}.py"))
    assert layer == port


@pytest.mark.parametrize("name", NAMES)
def test_a_layers_backend_has_the_methods_of_the_port_in_its_order(name: str) -> None:
    port = signatures(parsed(PORTS / "backend.py"))["Backend"]
    database = signatures(parsed(SERVICES[name] / "database.py"))
    assert [_name(method) for method in database["Database"]] == [_name(method) for method in port]


@pytest.mark.parametrize("name", NAMES)
def test_a_service_says_what_it_is_in_the_same_form(name: str) -> None:
    assigned = [
        ast.unparse(target)
        for node in parsed(SERVICES[name] / "__init__.py").body
        if isinstance(node, ast.Assign)
        for target in node.targets
    ]
    assert assigned == ["service"]


def _yields(method: ast.AsyncFunctionDef) -> bool:
    """An asynchronous generator is no coroutine: a port that has no body to yield from says `def`."""
    return any(isinstance(node, ast.Yield) for node in ast.walk(method))


def _name(signature: str) -> str:
    return signature.split("(")[0]
