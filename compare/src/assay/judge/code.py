"""What a layer's code comes to: lines, complexity, what the type checker says, what has to be installed."""

import ast
import io
import re
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from radon.complexity import cc_visit

from assay.judge.source import operations
from assay.report.care import LayerCode, OperationCode
from shared.registry import Service

_IGNORED = re.compile(r"#\s*type:\s*ignore")
_ERROR = re.compile(r"^(?P<file>.+?):\d+: error: ", re.MULTILINE)
_MYPY = "[mypy]\nstrict = true\nplugins = pydantic.mypy\n"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_LAYOUT = frozenset(
    {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENDMARKER, tokenize.ENCODING),
    }
)


@dataclass(frozen=True)
class Size:
    """`lines` hold code: no blanks, comments or docstrings. `complexity` is McCabe's of all functions
    together; `untyped` counts `Any`, `cast` and `type: ignore`."""

    lines: int
    complexity: int
    untyped: int


def code_of(services: Sequence[Service], *, findings: bool = True) -> list[LayerCode]:
    """Without `findings` the type checker, which takes some ten seconds, is not run. Raises RuntimeError
    where it breaks down."""
    errors = _findings(services) if findings else None
    by_operation = _by_operation(services)
    return [
        _layer(service, None if errors is None else errors[service.name], by_operation[service.name])
        for service in services
    ]


def size_of(source: str) -> Size:
    """
    >>> size_of("# why\\n\\ndef one(a: Any) -> Any:\\n    'Docstring.'\\n    return a or 1\\n")
    Size(lines=2, complexity=2, untyped=2)
    """
    tree = ast.parse(source)
    docstrings = {line for node in ast.walk(tree) for line in _docstring(node)}
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = {
        line
        for token in tokens
        if token.type not in _LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    ignored = sum(token.type == tokenize.COMMENT and bool(_IGNORED.match(token.string)) for token in tokens)
    return Size(
        len(lines - docstrings),
        sum(block.complexity for block in cc_visit(source) if block.letter != "C"),
        ignored + sum(map(_is_untyped, ast.walk(tree))),
    )


def _layer(service: Service, findings: int | None, by_operation: list[OperationCode]) -> LayerCode:
    folder = package_folder(service)
    sizes = [size_of(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))]
    statements = [
        _statement_lines(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.sql"))
    ]
    added = dependencies(service)
    return LayerCode(
        backend=service.name,
        files=len(sizes) + len(statements),
        lines=sum(size.lines for size in sizes) + sum(statements),
        complexity=sum(size.complexity for size in sizes),
        findings=findings,
        untyped=sum(size.untyped for size in sizes),
        dependencies=sorted(added),
        install_bytes=sum(map(_bytes, added.values())),
        operations=by_operation,
    )


def _texts(folder: Path, pattern: str) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.rglob(pattern))]


def _by_operation(services: Sequence[Service]) -> dict[str, list[OperationCode]]:
    found: dict[str, list[OperationCode]] = {service.name: [] for service in services}
    for operation in operations(services):
        for answer in operation.implementations:
            size = size_of(answer.source)
            found[answer.backend].append(
                OperationCode(
                    operation=operation.name,
                    lines=size.lines,
                    complexity=size.complexity,
                    untyped=size.untyped,
                )
            )
    return found


def package_folder(service: Service) -> Path:
    spec = find_spec(service.module)
    assert spec is not None, service.module
    assert spec.origin is not None, service.module
    return Path(spec.origin).parent


def _docstring(node: ast.AST) -> Iterable[int]:
    if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        assert first.end_lineno is not None
        return range(first.lineno, first.end_lineno + 1)
    return ()


def _is_untyped(node: ast.AST) -> bool:
    match node:
        case ast.Name(id="Any") | ast.Attribute(attr="Any"):
            return True
        case ast.Call(func=ast.Name(id="cast")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="typing"), attr="cast")):
            return True
    return False


def _statement_lines(text: str) -> int:
    """Of a migration that is written in SQL."""
    return sum(bool(line.strip()) and not line.lstrip().startswith("--") for line in text.splitlines())


def _findings(services: Sequence[Service]) -> Mapping[str, int] | None:
    """Errors of mypy --strict by service, in one run; None where mypy is not installed."""
    if find_spec("mypy") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "mypy.ini")
        settings.write_text(_MYPY, encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir", folder]
        packages = [part for service in services for part in ("-p", service.module)]
        shown = ["--show-absolute-path", "--no-error-summary"]
        done = subprocess.run(
            [*command, *shown, *packages], capture_output=True, text=True, check=False, cwd=folder
        )
    # 1 says that there are findings
    if done.returncode not in (0, 1):
        raise RuntimeError(f"mypy did not run: {(done.stderr or done.stdout).strip()[-300:]}")
    found = Counter(Path(matched["file"]) for matched in _ERROR.finditer(done.stdout))
    return {
        service.name: sum(
            count for file, count in found.items() if file.is_relative_to(package_folder(service))
        )
        for service in services
    }


def dependencies(service: Service) -> dict[str, Distribution]:
    """What the layer's distribution brings along that `shared` does not, by name."""
    kept = _closure("assay-shared")
    own = canonicalize_name(f"{service.name}-service")
    return {name: one for name, one in _closure(own).items() if name not in kept and name != own}


def _closure(name: str) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [(canonicalize_name(name), frozenset[str]())]
    seen = set(waiting)
    while waiting:
        current, extras = waiting.pop()
        found[current] = distribution(current)
        asked = {
            (canonicalize_name(requirement.name), frozenset(requirement.extras))
            for requirement in _required(found[current], extras)
        }
        waiting += asked - seen
        seen |= asked
    return found


def _required(of: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, of.requires or []):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _bytes(of: Distribution) -> int:
    """Of the files that its installation put there."""
    paths = [Path(str(of.locate_file(file))) for file in of.files or []]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())
