"""House rules as tests, each with its reason."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from imports import SRC, modules, tree
from test_layers import homes

ROOT = SRC.parent
FUNCTION_LINES_MAX = 70

CHANCE = re.compile(
    r"time\..+|random\..+|secrets\..+|uuid\..+|os\.(urandom|getrandom|times)|trio\.current_(time|effective_deadline)"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)|.*\.time\(\)"
)
"""Clocks and dice by their full names, called or handed on; `.time()` on anything is an event loop's clock."""

INJECTED_BY = {
    "ca.clock": "the wall clock of everything that has to do with certificates",
    "xds.edge.clock": "the wall clock that clients' certificates are held against",
    "ca.signer.key": "keys and nonces are random, and no test may make them otherwise",
    "ca.svid.lifecycle": "the clock that goes on in sleep, for rotation",
    "ca.svid.signer_client": "identifiers of requests",
    "legation.cli.demo": "composition root",
    "legation.cli.status": "composition root",
    "legation.cli.up": "composition root",
}


def _functions(module: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


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


def _chances(text: ast.AST) -> list[str]:
    """Each use of a clock or of chance, whatever name it was imported under."""
    names = {}
    for node in ast.walk(text):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom):
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    found = []
    for node in ast.walk(text):
        if isinstance(node, ast.Name | ast.Attribute | ast.Call) and not getattr(node, "args", []):
            first, dot, rest = ast.unparse(node).partition(".")
            full = names.get(first, first) + dot + rest
            if CHANCE.fullmatch(full):
                found.append(f"{node.lineno}: {full}")
    return found


def test_clocks_and_randomness_are_injected() -> None:
    found = {}
    for module in modules():
        shell = homes(module)[0][0].layer >= "L3"  # where trio's clock, virtual in tests, is fine
        uses = [use for use in _chances(tree(module)) if not (shell and "trio.current_time" in use)]
        if uses and module not in INJECTED_BY:
            found[module] = uses
    assert found == {}, "virtual time needs every clock to be handed in"


def test_who_may_look_at_a_clock_does() -> None:
    assert [module for module in INJECTED_BY if module not in modules() or not _chances(tree(module))] == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\nx = time.time()",
        "import time as t\nx = t.monotonic",
        "from time import time\nx = time()",
        "from time import clock_gettime as look\nx = look(0)",
        "import asyncio\nx = asyncio.get_running_loop().time()",
        "def at(loop): return loop.time()",
        "import trio\nx = trio.current_time()",
        "from datetime import UTC, datetime\nx = datetime.now(UTC)",
        "import datetime as d\nx = d.date.today()",
        "import random\nx = random.Random()",
        "from os import urandom\nx = urandom(3)",
        "from secrets import token_hex\nx = token_hex",
    ],
)
def test_a_planted_clock_is_found(text: str) -> None:
    assert _chances(ast.parse(text))


def test_no_word_of_a_private_key_in_xds() -> None:
    word = re.compile(r"private_key|BEGIN [A-Z ]*PRIVATE KEY")
    found = [str(path) for path in sorted((SRC / "xds").rglob("*.py")) if word.search(path.read_text())]
    assert found == [], "xds never handles private keys but its listener's, and that one by file name"


def test_no_security_check_is_an_assert() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Assert)
    ]
    assert found == [], "`python -O` removes asserts"


def test_nothing_is_swallowed() -> None:
    found = []
    for module in modules():
        for node in ast.walk(tree(module)):
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
