"""The layer rules. Each holds the reason that it prints, and follows indirect imports."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from imports import direct, modules, reached, within


@dataclass(frozen=True)
class Rule:
    who: tuple[str, ...]
    may_not: tuple[str, ...]
    reason: str
    but: tuple[str, ...] = ()
    """Modules of `who` to which the rule does not apply."""
    only_direct: bool = False
    """True where reaching it through an allowed room is fine."""


FRAMEWORKS = ("trio", "asyncio", "grpc", "google.protobuf", "envoy_data_plane", "uvloop", "starlette", "hypercorn")

ROOMS = ("engine", "api", "config", "control", "edge", "server", "resources")

RULES = [
    Rule(("xds",), ("ca", "cryptography"), "xds never sees a private key, so it cannot leak one"),
    Rule(
        ("xds.names", "xds.errors", "xds.limits", "xds.logs"),
        (*FRAMEWORKS, "xds.engine", "xds.api", "xds.config", "xds.control", "xds.edge"),
        "vocabulary must be free of frameworks",
    ),
    Rule(
        ("xds.engine",),
        (*FRAMEWORKS, "logging", "time", "random", "datetime"),
        "the core must be testable with no loop and no clock",
        but=("xds.engine.wire",),
    ),
    Rule(("xds.engine.wire",), ("trio", "asyncio", "grpc", "envoy_data_plane"), "it knows the envelope, and only that"),
    Rule(
        ("xds.engine",),
        ("xds.api", "xds.config", "xds.control", "xds.edge", "xds.server"),
        "arrows run downwards only",
    ),
    Rule(
        ("xds.api",),
        ("trio", "asyncio", "grpc", "xds.config", "xds.control", "xds.edge"),
        "translation is a pure function",
    ),
    Rule(("xds.config",), ("trio", "asyncio", "grpc", "xds.control", "xds.edge"), "translation is a pure function"),
    Rule(("xds.control",), ("grpc", "asyncio"), "only the edge knows the transport", only_direct=True),
    Rule(
        ("xds.edge",),
        ("xds.config", "xds.control", "xds.api", "xds.server"),
        "the transport carries bytes, it does not know what they mean",
    ),
    Rule(("xds.server", "xds.control", "xds.__main__"), ("envoy_data_plane",), "typed classes sit on no hot path"),
    Rule(
        ("ca.identity",),
        ("trio", "grpc", "asyncio", "ca.signer", "ca.svid", "ca.server", "ca.enroll"),
        "policy must not need a key to be tested",
    ),
    Rule(
        ("ca.signer",),
        ("trio", "grpc", "asyncio", "xds.edge", "ca.svid", "ca.server"),
        "issuing is synchronous and auditable",
        but=("ca.signer.service", "ca.signer.__main__", "ca.signer"),
    ),
    Rule(("ca.signer",), ("grpc", "asyncio", "ca.svid", "ca.server"), "no gRPC or thread of its near the CA keys"),
    Rule(
        ("ca.svid", "ca.server", "ca.enroll", "ca.__main__", "ca.identity"),
        ("ca.signer",),
        "CA keys have one door, and it is a socket",
    ),
    Rule(
        ("ca.svid", "ca.server", "ca.enroll", "ca.__main__"),
        ("xds.config", "xds.control", "xds.api", "xds.server", "xds.resources"),
        "re-use the machine, not the product",
    ),
    Rule(("ca.svid",), ("ca.server",), "arrows run downwards only"),
    Rule(("ca.svid.schedule",), ("trio", "grpc", "cryptography.hazmat"), "timing never touches a key"),
    Rule(("ca.server", "ca.enroll"), ("grpc", "asyncio"), "only SDS's edge knows the transport", only_direct=True),
    Rule(
        ("legation",),
        ("ca", *(f"xds.{room}" for room in ROOMS), "grpc", "cryptography"),
        "the umbrella starts processes and holds nothing",
    ),
]


def _applies(rule: Rule, module: str) -> bool:
    return any(within(module, room) for room in rule.who) and module not in rule.but


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.who[0]}-not-{rule.may_not[0]}")
def test_a_layer_imports_only_what_it_may(rule: Rule) -> None:
    broken = []
    for module in modules():
        if not _applies(rule, module):
            continue
        ways = {name: (module, name) for name in direct(module)} if rule.only_direct else reached(module)
        broken += [
            " -> ".join(way) for name, way in ways.items() if any(within(name, forbidden) for forbidden in rule.may_not)
        ]
    assert not broken, f"{rule.reason}:\n" + "\n".join(broken)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.who[0]}-not-{rule.may_not[0]}")
def test_a_rule_speaks_of_rooms_that_exist(rule: Rule) -> None:
    ours = [name for name in (*rule.who, *rule.may_not) if name.split(".")[0] in {"xds", "ca", "legation"}]
    missing = [name for name in (*ours, *rule.but) if name not in modules()]
    assert missing == [], "a rule about a room that is gone checks nothing"


def test_a_planted_import_would_be_found() -> None:
    ways = reached("xds.server")
    assert any(within(name, "grpc") for name in ways), "the walk must follow indirect imports, here by xds.edge"
