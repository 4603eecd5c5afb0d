"""Reads who imports whom, from the source alone, and follows it through our own modules."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"
OURS = ("xds", "ca", "legation")


@cache
def modules() -> dict[str, Path]:
    """Every module under src by its dotted name."""
    found = {}
    for package in OURS:
        for path in sorted((SRC / package).rglob("*.py")):
            parts = path.relative_to(SRC).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def imported(text: ast.AST, known: Collection[str]) -> Iterator[str]:
    """Full names that a text imports, wherever in it. `from room import module` names the module, not the room."""
    for node in ast.walk(text):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called == "open":
                yield "open"  # a file, without an import that would tell
            if called == "importlib.import_module" and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)


@cache
def graph() -> dict[str, frozenset[str]]:
    """What each module imports by itself."""
    return {module: frozenset(imported(tree(module), modules())) for module in modules()}


def reached(module: str, imports: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """Everything that an import of a module brings along, each with the way to it; a package comes with its modules."""
    ways: dict[str, tuple[str, ...]] = {}
    todo = [(module, (module,))]
    while todo:
        name, way = todo.pop()
        packages = [name[:dot] for dot, letter in enumerate(name) if letter == "."]
        for other in (*imports.get(name, ()), *(package for package in packages if package in imports)):
            if other not in ways:
                ways[other] = (*way, other)
                todo.append((other, ways[other]))
    return ways


def within(name: str, room: str) -> bool:
    """True where a dotted name is a room or lies below it."""
    return name == room or name.startswith(room + ".")
