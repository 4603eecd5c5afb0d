"""Reads who imports whom, from the source alone, and follows it through our own modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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


def _imported(tree: ast.AST, module: str, *, package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                kept = parents[: len(parents) - node.level + (1 if package else 0)]
                base = ".".join([*kept, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def direct(module: str) -> frozenset[str]:
    """What a module's text imports, wherever in the text: our modules by their full name, others likewise."""
    path = modules()[module]
    names = set(_imported(ast.parse(path.read_text()), module, package=path.name == "__init__.py"))
    return frozenset(name for name in names if name in modules() or name.split(".")[0] not in OURS)


@cache
def reached(module: str) -> dict[str, tuple[str, ...]]:
    """Everything that an import of a module brings along, each with the way to it."""
    ways: dict[str, tuple[str, ...]] = {}
    todo = [(module, (module,))]
    while todo:
        name, way = todo.pop()
        for imported in direct(name):
            if imported not in ways:
                ways[imported] = (*way, imported)
                if imported in modules():
                    todo.append((imported, (*way, imported)))
    return ways


def within(name: str, room: str) -> bool:
    """True where a dotted name is a room or lies below it."""
    return name == room or name.startswith(room + ".")
