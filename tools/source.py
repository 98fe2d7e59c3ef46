"""Python source as data for the house rules: imports, names, calls, strings and docstrings of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

Named = Iterator[tuple[int, str]]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """One parsed file of the package. `known` are all module names of the package."""

    name: str
    path: Path
    known: frozenset[str]

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return _parsed(self.path.read_text(), str(self.path))

    @cached_property
    def _nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def part(self) -> str:
        """The first name after the package: "spec" of harness.spec.topology; "" for the package root."""
        return self.name.partition(".")[2].partition(".")[0]

    def where(self, line: int) -> str:
        """A place a person can jump to."""
        return f"{self.path}:{line}"

    def imports(self) -> Named:
        """Every imported module as (line, dotted name), wherever it stands but for type checkers only."""
        return iter(self._imports)

    @cached_property
    def _imports(self) -> list[tuple[int, str]]:
        return list(self._look_for_imports())

    def _look_for_imports(self) -> Named:
        for node in _runtime(self.tree.body):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node)
                for alias in node.names:
                    # `from package import module` imports that module; else the name lies in the base.
                    full = f"{base}.{alias.name}"
                    yield node.lineno, full if full in self.known else base

    def internal_imports(self) -> Named:
        """The imports that stay in the package."""
        return ((line, name) for line, name in self.imports() if name in self.known)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        drop = node.level - (1 if self.path.name == "__init__.py" else 0)
        base = package[: len(package) - drop]
        return ".".join([*base, *([node.module] if node.module else [])])

    def names(self) -> Named:
        """Every name and dotted name in use as (line, text), such as sys.stdout."""
        for node in self._nodes:
            if isinstance(node, ast.Attribute | ast.Name):
                yield node.lineno, _text(node)

    def calls(self) -> Named:
        """Every called name; an exception that is raised without a call counts as called."""
        for node in self._nodes:
            if isinstance(node, ast.Call):
                yield node.lineno, _text(node.func)
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
                yield node.lineno, node.exc.id

    def strings(self) -> Named:
        """Every string in the code that is no docstring, f-strings by their literal pieces."""
        documentation = {
            id(node.body[0].value)
            for node in self._nodes
            if isinstance(node, ast.Module | Definition) and node.body and isinstance(node.body[0], ast.Expr)
        }
        for node in self._nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                yield node.lineno, node.value

    def undocumented(self) -> Named:
        """Public functions and classes of the module that have no docstring."""
        for node in self.tree.body:
            if isinstance(node, Definition) and not node.name.startswith("_") and not ast.get_docstring(node):
                yield node.lineno, node.name


def _text(node: ast.expr) -> str:
    """As ast.unparse, which takes its time for what is nearly always a name with dots."""
    names, value = [], node
    while isinstance(value, ast.Attribute):
        names.append(value.attr)
        value = value.value
    return ".".join([value.id, *reversed(names)]) if isinstance(value, ast.Name) else ast.unparse(node)


@cache
def _parsed(text: str, path: str) -> ast.Module:
    """The syntax tree of a file: several rules read the same ones, and none changes them."""
    return ast.parse(text, path)


def _runtime(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The statements, and those within, but for those that only a type checker sees."""
    for node in statements:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _runtime(node.orelse)
            continue
        yield node
        for part in ("body", "handlers", "cases", "orelse", "finalbody"):
            yield from _runtime(getattr(node, part, ()))


def load_modules(package: Path) -> dict[str, Module]:
    """Every module below a package's directory, by its dotted name."""
    paths = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    known = frozenset(paths)
    return {name: Module(name, path, known) for name, path in paths.items()}


def cycles(edges: dict[str, set[str]]) -> list[str]:
    """Import cycles as "a -> b -> a", each once per way in; a module that imports itself counts."""
    found: list[str] = []
    finished: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in finished:
            for target in sorted(edges.get(name, ())):
                visit(target, [*trail, name])
            finished.add(name)

    for name in sorted(edges):
        visit(name, [])
    return found
