"""House rules as tests, each with its reason."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from imports import SRC, modules

ROOT = SRC.parent
FUNCTION_LINES_MAX = 70

CLOCKS = {"time.time", "time.sleep", "datetime.now", "datetime.datetime.now", "random.random", "random.uniform"}
COMPOSITION_ROOTS = {"ca.clock", "ca.enroll", "legation.cli.status"}


def _functions(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(modules()[module].read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and len(body) > 1:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{module}.{function.name}: {_length(function)} lines"
        for module in modules()
        for function in _functions(module)
        if _length(function) > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_clocks_and_randomness_are_injected() -> None:
    found = []
    for module, path in modules().items():
        if module in COMPOSITION_ROOTS or module.endswith("__main__"):
            continue
        found += [
            f"{module}:{node.lineno}: {ast.unparse(node.func)}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS
        ]
    assert found == [], "virtual time needs every clock to be handed in"


def test_no_word_of_a_private_key_in_xds() -> None:
    word = re.compile(r"private_key|BEGIN [A-Z ]*PRIVATE KEY")
    found = [str(path) for path in sorted((SRC / "xds").rglob("*.py")) if word.search(path.read_text())]
    assert found == [], "xds never handles private keys but its listener's, and that one by file name"


def test_no_security_check_is_an_assert() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert found == [], "`python -O` removes asserts"


def test_nothing_is_swallowed() -> None:
    found = []
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
                caught = ast.unparse(node.type) if node.type else "everything"
                if caught in {"Exception", "BaseException", "everything"}:
                    found.append(f"{module}:{node.lineno}: {caught}")
    assert found == []


IMPORTER = """
import importlib, socket, sys, threading
sockets = []
real = socket.socket.__init__
socket.socket.__init__ = lambda self, *a, **k: (sockets.append(1), real(self, *a, **k))[1]
for module in sys.argv[1:]:
    importlib.import_module(module)
    assert not sockets, f"{module} makes a socket"
    assert threading.active_count() == 1, f"{module} starts a thread"
"""


@pytest.mark.parametrize("package", ["xds", "ca", "legation"])
def test_importing_has_no_effect(package: str) -> None:
    names = [name for name in modules() if name.split(".")[0] == package and not name.endswith("__main__")]
    subprocess.run([sys.executable, "-P", "-c", IMPORTER, *names], check=True, cwd="/")


def test_the_build_lock_follows_the_build_requirements() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    named = (ROOT / "requirements" / "build.in").read_text().splitlines()
    assert [requirement for requirement in wanted if requirement not in named] == []


def test_no_todo_without_an_owner() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("src", "bench")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\b(TODO|FIXME|XXX)\b", line)
    ]
    assert found == []
