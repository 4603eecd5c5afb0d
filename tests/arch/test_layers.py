"""The layer rules of `layers.py`, held against the source, and against imports that are planted to be found."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Collection, Mapping

import pytest
from imports import OURS, graph, imported, modules, reached, within
from layers import NEVER, PURE, ROWS, VOCABULARY, Row, patterns


def homes(module: str) -> list[tuple[Row, str]]:
    """Rows in which a module stands, each with the words it stands there under: its own name, or else its room."""
    for word in (module, f"{module}.*", f"{module.rpartition('.')[0]}.*"):
        if found := [(row, word) for row in ROWS if word in patterns(row.who)]:
            return found
    return []


def faults(module: str, names: Collection[str]) -> list[str]:
    """What of a module's imports its row does not allow."""
    (row, _), *_ = homes(module)
    ours, third, effects = patterns(row.ours), row.third.split(), row.effects.split()
    wrong = []
    for name in names:
        top = name.split(".")[0]
        if top in OURS:
            fine = name in modules() and not {name, homes(name)[0][1]}.isdisjoint(ours)
        else:
            fine = top in PURE.split() or top in effects or any(within(name, package) for package in third)
        if not fine:
            wrong.append(f"{module} -> {name}: {row.reason}")
    return wrong


def ways(imports: Mapping[str, Collection[str]]) -> list[str]:
    """Each way that must not be."""
    found = []
    for who, what, reason in NEVER:
        for module in imports:
            if any(within(module, one[:-2]) if one.endswith(".*") else module == one for one in who.split()):
                for name, way in reached(module, imports).items():
                    if any(within(name, one) for one in what.split()):
                        found.append(f"{' -> '.join(way)}: {reason}")
    return found


def test_every_module_stands_in_one_row() -> None:
    assert {module: len(homes(module)) for module in modules() if len(homes(module)) != 1} == {}


def test_every_row_speaks_of_modules_that_exist() -> None:
    spoken = [word for row in ROWS for word in (*patterns(row.who), *patterns(row.ours))]
    spoken += [word for who, what, _ in NEVER for word in (*who.split(), *what.split()) if word.split(".")[0] in OURS]
    assert [word for word in spoken if word.removesuffix(".*") not in modules()] == []


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_its_row_allows(module: str) -> None:
    assert faults(module, graph()[module]) == []


def test_no_row_allows_what_none_of_its_modules_needs() -> None:
    idle = []
    for row in ROWS:
        used = {name for module in modules() if homes(module)[0][0] is row for name in graph()[module]}
        tops = {name.split(".")[0] for name in used}
        idle += [f"{row.who}: {word}" for word in row.effects.split() if word not in tops]
        idle += [f"{row.who}: {word}" for word in row.third.split() if not any(within(name, word) for name in used)]
        needed = {word for name in used if name in modules() for word in (name, homes(name)[0][1])}
        idle += [f"{row.who}: {word}" for word in patterns(row.ours) if word not in {*needed, *patterns(VOCABULARY)}]
    assert idle == [], "a permission that nobody uses is a hole"


def test_what_is_pure_imports_nothing_of_the_shell() -> None:
    layer = {module: homes(module)[0][0].layer for module in modules()}
    up = [
        f"{module} ({layer[module]}) -> {name} ({layer[name]})"
        for module, names in graph().items()
        for name in names
        if name in layer and layer[module] < "L3" and layer[name] > layer[module]
    ]
    assert up == []


def test_rooms_import_each_other_in_one_direction() -> None:
    rooms: dict[str, set[str]] = {}
    for module, names in graph().items():
        here = ".".join(module.split(".")[:2])
        rooms.setdefault(here, set()).update({".".join(name.split(".")[:2]) for name in names if name in modules()})
        rooms[here].discard(here)
    graphlib.TopologicalSorter(rooms).prepare()  # raises with the circle


def test_nothing_is_reached_that_must_not_be() -> None:
    assert ways(graph()) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("ca.identity.profile", "import logging, time, random"),
        ("ca.identity.profile", "from google.protobuf import message"),
        ("ca.signer.issuer", "from xds.config import files"),
        ("ca.svid.holder", "import grpc"),
        ("ca.svid.rotator", "import asyncio"),
        ("ca.svid.secrets", "import trio"),
        ("ca.svid.slot", "import trio"),
        ("legation.report", "def late():\n    import trio"),
        ("xds.api.walk", "from xds.engine.session import Session"),
        ("xds.config.files", "import logging, time, os"),
        ("xds.config.files", "def late(path):\n    return open(path)"),
        ("xds.control.store", "from xds.server import serve"),
        ("xds.engine.session", "import socket, threading"),
        ("xds.engine.session", "from xds.engine import wire"),
        ("xds.engine.wire", "from logging import getLogger"),
        ("xds.server", "import asyncio, grpc.aio"),
    ],
)
def test_a_planted_import_is_found(module: str, text: str) -> None:
    planted = list(imported(ast.parse(text), modules()))
    assert len(faults(module, planted)) == len(planted) > 0


@pytest.mark.parametrize(
    ("module", "name", "way"),
    [
        ("xds.names", "cryptography.x509", "xds.server -> "),
        ("xds.logs", "ca.errors", "xds.logs -> ca.errors"),
        ("xds.errors", "grpc", "ca.signer.service -> "),
        ("ca.svid.trust", "ca.signer.key", "ca.enroll -> "),
        ("legation.backoff", "xds.edge.guest", "legation.cli.up -> "),
        ("xds.control.flow", "xds.resources", "xds.__main__ -> "),
    ],
)
def test_a_planted_way_is_found(module: str, name: str, way: str) -> None:
    planted = {**graph(), module: {*graph()[module], name}}
    assert any(found.startswith(way) for found in ways(planted))
