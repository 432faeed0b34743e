"""Finds how each service answers an operation of the ports, in its source."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from assay.report.model import Implementation, Operation
from shared.registry import Service, services

FAMILIES = (
    "users",
    "documents",
    "attachments",
    "activity",
    "notifications",
    "exports",
    "dashboard",
    "events",
    "rooms",
    "idempotency",
)
_FUNCTIONS = (ast.AsyncFunctionDef, ast.FunctionDef)
_APART = frozenset({"models", "database", "connection"})
"""Modules of a service that stand for all its operations together, and are shown with none."""

Definition: TypeAlias = ast.stmt
"""A constant, function or class of a module, or a method."""


class UnknownOperation(LookupError):
    """No port has it; the message is one line that names those there are."""


@dataclass(frozen=True)
class _Module:
    """A parsed file. `own` are its module-level definitions by name, `methods` those of the port's class,
    `imported` where names come from that its package defines elsewhere: module and name there."""

    name: str
    lines: list[str]
    own: dict[str, Definition]
    methods: dict[str, Definition]
    imported: dict[str, tuple[str, str]]

    def text(self, node: Definition) -> str:
        """The definition with its decorators and the comment above it, at the left margin."""
        assert node.end_lineno is not None
        decorators: list[ast.expr] = getattr(node, "decorator_list", [])
        start = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        while start and self.lines[start - 1].lstrip().startswith("#"):
            start -= 1
        return "\n".join(_dedented(self.lines[start : node.end_lineno], node.col_offset))


def operation_names() -> list[str]:
    """Every operation of the ports, in the order of the contract."""
    return [f"{family}.{method}" for family in FAMILIES for method in _port(family).methods]


def operations(backends: Sequence[Service] | None = None) -> list[Operation]:
    """Every operation of the ports as each service answers it; without `backends`, as all registered do."""
    answering = services() if backends is None else backends
    return [operation(name, answering) for name in operation_names()]


def operation(name: str, backends: Sequence[Service] | None = None) -> Operation:
    """One operation as each service answers it; a service without the method is left out. Raises
    UnknownOperation."""
    if name not in operation_names():
        family = name.partition(".")[0]
        near = [one for one in operation_names() if one.partition(".")[0] == family]
        raise UnknownOperation(f"no operation {name!r}; there are {', '.join(near or operation_names())}")
    family, _, method = name.partition(".")
    docstring = ast.get_docstring(_method(_port(family), method)) or ""
    answering = services() if backends is None else backends
    found = [_implementation(service, family, method) for service in answering]
    return Operation(
        name=name,
        promise=" ".join(docstring.split()),
        implementations=[implementation for implementation in found if implementation is not None],
    )


def _implementation(service: Service, family: str, method: str) -> Implementation | None:
    """The method, and below it what it uses of its package: constants, functions, classes and private
    methods."""
    module = _module(f"{service.module}.{family}")
    if module is None or method not in module.methods:
        return None
    node = module.methods[method]
    used = sorted(_closure(module, node), key=lambda at: (at[0] != module.name, at[0], at[1].lineno))
    shown = [module.text(node), *(_existing(name).text(definition) for name, definition in used)]
    source = "\n\n".join(shown)
    return Implementation(
        backend=service.name,
        file=f"{module.name.replace('.', '/')}.py",
        line=node.lineno,
        lines=sum(bool(line.strip()) for line in source.splitlines()),
        source=source,
    )


def _closure(module: _Module, start: Definition) -> set[tuple[str, Definition]]:
    """Whatever is used from `start` on, as pairs of a module's name and a definition in it."""
    first = (module.name, start)
    found: set[tuple[str, Definition]] = set()
    waiting = [first]
    while waiting:
        name, node = waiting.pop()
        new = set(_uses(_existing(name), node)) - found - {first}
        found |= new
        waiting += new
    return found


def _uses(module: _Module, node: Definition) -> Iterator[tuple[str, Definition]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part.id in module.own:
            yield module.name, module.own[part.id]
        elif isinstance(part, ast.Name) and part.id in module.imported:
            origin, name = module.imported[part.id]
            if name in _existing(origin).own:
                yield origin, _existing(origin).own[name]
        elif isinstance(part, ast.Attribute) and part.attr in module.methods and _is_private(part.attr):
            yield module.name, module.methods[part.attr]


def _is_private(name: str) -> bool:
    """A public method is an operation itself; `__init__` and its like say nothing of this one."""
    return name.startswith("_") and not name.startswith("__")


def _port(family: str) -> _Module:
    return _existing(f"shared.ports.{family}")


def _method(module: _Module, method: str) -> ast.AsyncFunctionDef | ast.FunctionDef:
    node = module.methods[method]
    assert isinstance(node, _FUNCTIONS)
    return node


def _existing(name: str) -> _Module:
    module = _module(name)
    assert module is not None, name
    return module


@cache
def _module(name: str) -> _Module | None:
    """The class that answers for a family is named after its file."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        return None
    package, _, family = name.rpartition(".")
    text = Path(spec.origin).read_text(encoding="utf-8")
    tree = ast.parse(text)
    port = next(
        (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == family.title()), None
    )
    methods = [] if port is None else [node for node in port.body if isinstance(node, _FUNCTIONS)]
    return _Module(
        name,
        text.splitlines(),
        {key: node for node in tree.body if node is not port for key in _names(node)},
        {node.name: node for node in methods},
        {key: origin for node in tree.body for key, origin in _imports(node, package)},
    )


def _imports(node: ast.stmt, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return
    parent, _, module = node.module.rpartition(".")
    if parent == package and module not in _APART:
        for name in node.names:
            yield name.asname or name.name, (node.module, name.name)


def _names(node: ast.stmt) -> list[str]:
    match node:
        case ast.AsyncFunctionDef(name=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _dedented(lines: Sequence[str], indent: int) -> Iterator[str]:
    """Takes the indent off where there is one: lines of a text that stand further left stay as they are."""
    for line in lines:
        yield line[indent:] if line[:indent].isspace() else line
