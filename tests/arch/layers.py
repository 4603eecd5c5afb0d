"""Who may import what: each module stands in one row. To add a module is to add it to a row, which is its review."""

from __future__ import annotations

import re
from dataclasses import dataclass

PURE = """
__future__ abc ast base64 binascii bisect collections contextlib dataclasses datetime difflib enum errno functools
hashlib heapq hmac ipaddress itertools json math re stat struct sys traceback types typing weakref
"""
"""The standard library's modules that anybody may use. Any other one is an effect, and so is `open`."""

VOCABULARY = "xds.{errors,limits,names}"


@dataclass(frozen=True)
class Row:
    layer: str
    who: str
    """Modules; `room.*` is each module of a room that no row names."""
    ours: str
    third: str
    effects: str
    reason: str


ROWS = [
    # xds, of which ca re-uses the engine and the edge
    Row("L0", "xds xds.logs VOCABULARY", "", "", "logging", "vocabulary must be free of frameworks"),
    Row(
        "L3",
        "xds.process",
        "xds.logs VOCABULARY",
        "trio",
        "argparse logging os signal",
        "the process with the CA keys uses it too, so it brings nothing along",
    ),
    Row("L1", "xds.engine.*", "xds.engine.* VOCABULARY", "", "", "the core is tested with no loop and no clock"),
    Row("L2", "xds.engine.wire", "xds.errors", "google.protobuf", "importlib", "it knows the envelope, and only that"),
    Row("L2", "xds.api.descriptors", "xds.api.quoting VOCABULARY", "google.protobuf", "importlib", "one file, its own"),
    Row("L2", "xds.api.*", "xds.api.{*,descriptors} VOCABULARY", "google.protobuf", "", "a pure function"),
    Row(
        "L2",
        "xds.config.*",
        "xds.config.* xds.api.{*,descriptors} xds.engine.record VOCABULARY",
        "google.protobuf yaml",
        "",
        "translation is a pure function: it is given text and opens no file",
    ),
    Row("L2", "xds.resources.secret", "xds.api.sds", "", "", "bytes that never change depend on nothing"),
    Row(
        "L3",
        "xds.resources.*",
        "xds.resources.{secret,typed} xds.api.sds VOCABULARY",
        "envoy_data_plane yaml",
        "argparse importlib",
        "typed classes are for people's files, in a process of their own",
    ),
    Row(
        "L3",
        "xds.resources.evaluate",
        "xds.resources.confine",
        "envoy_data_plane",
        "os pathlib select signal",
        "the child knows nothing of its parent",
    ),
    Row(
        "L0",
        "xds.resources.confine",
        "",
        "",
        "ctypes os pathlib resource signal",
        "what the child does to itself before it runs somebody's file",
    ),
    Row(
        "L3",
        "xds.control.*",
        "xds.control.{*,reading,tls} xds.config.* xds.engine.{*,wire} xds.edge.{*,health,server,stream} "
        "xds.logs VOCABULARY",
        "trio prometheus_client starlette",
        "logging",
        "only the edge knows the transport, and only those below touch the machine",
    ),
    Row(
        "L3",
        "xds.control.{child,handshake,reading,source,tls,watching}",
        "xds.control.{*,child,reading,watching} xds.config.* xds.edge.{credentials,watch} "
        "xds.{logs,process} VOCABULARY",
        "trio",
        "fcntl logging open os pathlib signal subprocess",
        "only the edge knows the transport; files, signals and the child process are these modules'",
    ),
    Row("L4", "xds.edge.*", "xds.edge.* xds.engine.wire VOCABULARY", "", "", "checks of a peer are functions"),
    Row("L4", "xds.edge.{clock,descriptors}", "", "", "resource time", "what the machine has: the time, descriptors"),
    Row(
        "L4",
        "xds.edge.{credentials,guest,server,status,stream,upkeep}",
        "xds.edge.{*,binding,clock,collector,credentials,descriptors,guest,status,stream,upkeep} xds.engine.{*,wire} "
        "VOCABULARY",
        "grpc outcome trio uvloop",
        "asyncio logging open os ssl",
        "the transport carries bytes, it does not know what they mean",
    ),
    Row(
        "L4",
        "xds.edge.{binding,collector,health,http,watch}",
        "xds.edge.binding xds.errors",
        "hypercorn inotify_simple starlette trio",
        "gc logging os pathlib socket",
        "what touches the machine knows nothing of xDS",
    ),
    Row(
        "L3",
        "xds.server xds.__main__",
        "xds.server xds.control.{*,handshake,source,tls} xds.api.descriptors xds.hardening xds.process xds.logs "
        "xds.edge.{*,binding,collector,guest,health,http,server,stream} VOCABULARY",
        "trio",
        "argparse logging os pathlib platform",
        "wiring: it names the transport's modules and not the transport",
    ),
    # ca, where private keys are
    Row("L0", "ca ca.errors", "xds.errors", "", "", "vocabulary must be free of frameworks"),
    Row("L0", "ca.clock", "", "", "", "the wall clock has one door"),
    Row("L0", "xds.hardening", "", "", "ctypes os resource", "what a process does to itself before it holds a key"),
    Row(
        "L1",
        "ca.identity.*",
        "ca.identity.* ca.errors xds.names",
        "cryptography",
        "",
        "policy must not need a key, a clock or a log to be tested",
    ),
    Row("L1", "ca.signer.rotation ca.svid.schedule", "", "", "", "timing never touches a key"),
    Row(
        "L1",
        "ca.signer ca.signer.{csr,der,issuer,key,lint}",
        "ca.signer.{der,key,lint} ca.identity.* ca.errors",
        "cryptography",
        "os",  # urandom, in key
        "issuing is synchronous and auditable",
    ),
    Row(
        "L3",
        "ca.signer.{authority,files,first_start,journal,keystore,verbs}",
        "ca.signer.{authority,csr,files,first_start,issuer,journal,key,keystore,rotation} "
        "ca.identity.* ca.clock ca.errors xds.logs",
        "cryptography",
        "fcntl logging open os pathlib shutil",
        "the disk of the CA keys; synchronous, so that an order of writes is an order of lines",
    ),
    Row(
        "L3",
        "ca.signer.messages",
        "ca.signer.{keystore,verbs} ca.identity.* ca.errors xds.engine.wire",
        "google.protobuf",
        "",
        "it knows the signer's envelope, and only that",
    ),
    Row(
        "L4",
        "ca.signer.{listener,service,__main__}",
        "ca.signer.{authority,files,issuer,journal,listener,messages,service,verbs} "
        "ca.identity.* ca.clock ca.errors xds.hardening xds.{limits,logs,process}",
        "trio",
        "argparse logging os pathlib socket",
        "a socket and no gRPC: none of its threads near the CA keys",
    ),
    Row(
        "L1",
        "ca.svid ca.svid.{errors,order,slot,trust}",
        "ca.svid.{errors,holder,order,schedule} ca.identity.* xds.errors xds.names",
        "",
        "",
        "a state machine is told the time and what happened",
    ),
    Row("L1", "ca.svid.holder", "ca.svid.schedule xds.names", "cryptography", "", "a leaf key is a value; nobody logs"),
    Row(
        "L2",
        "ca.svid.{node,secrets}",
        "ca.svid.{holder,secrets} ca.identity.* xds.engine.{*,wire} xds.names",
        "",
        "",
        "translation is a pure function",
    ),
    Row(
        "L3",
        "ca.svid.{issuing,rotator}",
        "ca.svid.{errors,holder,order,schedule,signer_client,slot,trust} ca.identity.* xds.errors xds.logs xds.names",
        "cryptography trio",
        "logging",
        "rotation runs in virtual time",
    ),
    Row(
        "L3",
        "ca.svid.{directory,lifecycle,signer_client}",
        "ca.svid.errors xds.engine.wire VOCABULARY",
        "google.protobuf trio",
        "fcntl open os pathlib secrets shutil socket tempfile time",
        "what touches the machine holds no key object",
    ),
    Row(
        "L4",
        "ca.svid.sds",
        "ca.svid.node xds.edge.{*,server} xds.engine.{*,wire} xds.logs VOCABULARY",
        "",
        "logging",
        "SDS is xDS: re-use the machine, not the product",
    ),
    Row(
        "L3",
        "ca.server.* ca.__main__ ca.enroll ca.enroll_files",
        "ca.server.* ca.enroll_files ca.svid.{directory,holder,issuing,lifecycle,node,order,rotator,schedule,sds} "
        "ca.svid.{secrets,signer_client,slot,trust} ca.identity.* ca.clock ca.errors xds.hardening xds.engine.* "
        "xds.edge.{binding,collector,credentials,guest,health,http,server,stream,watch} xds.{logs,process} VOCABULARY",
        "cryptography prometheus_client starlette trio yaml",
        "argparse logging os pathlib",
        "CA keys have one door, and it is a socket; only SDS's edge knows the transport",
    ),
    # legation, which starts the others
    Row(
        "L1",
        "legation legation.{backoff,demo,durations,schema} legation.demo.{der,tally}",
        "legation.demo.der",
        "",
        "",
        "what to say and when to try again are functions",
    ),
    Row("L0", "legation.environment", "", "", "importlib", "it must run where nothing else would"),
    Row(
        "L2",
        "legation.{bootstrap,reference,render,report,settings}",
        "legation.{bootstrap,durations,report,schema,settings} xds.errors xds.names",
        "rich yaml",
        "os pathlib",
        "text in, text out",
    ),
    Row(
        "L3",
        "legation.{__main__,client,envoy,prepare,process,programs,serve,supervisor} legation.cli.* "
        "legation.demo.{http,probe,run,stage,traffic,view,workspace}",
        "legation legation.{backoff,bootstrap,client,durations,envoy,environment,prepare,process,programs,render} "
        "legation.{report,serve,settings,supervisor} legation.cli.* legation.demo.{der,http,probe,run,stage,tally} "
        "legation.demo.{traffic,view,workspace} xds.logs VOCABULARY",
        "click h11 httpx rich trio",
        "ctypes fcntl importlib logging os pathlib shutil signal socket ssl subprocess tempfile time",
        "the umbrella starts processes and holds nothing",
    ),
]

NEVER = [
    ("xds.*", "ca cryptography", "xds never sees a private key, so it cannot leak one"),
    ("xds.server xds.__main__", "envoy_data_plane xds.resources", "typed classes sit on no hot path"),
    ("ca.signer.*", "grpc asyncio uvloop xds.edge ca.svid ca.server", "no gRPC or thread of its near the CA keys"),
    ("ca.svid.* ca.server.* ca.identity.* ca.__main__ ca.enroll", "ca.signer", "CA keys have one door: a socket"),
    ("ca.*", "xds.api xds.config xds.control xds.resources xds.server", "re-use the machine, not the product"),
    (
        "legation.*",
        "ca xds.api xds.config xds.control xds.edge xds.engine xds.resources xds.server grpc cryptography",
        "the umbrella starts processes and holds nothing",
    ),
]
"""Who, what it must not reach by any way, and why. Here `room.*` is everything in a room."""


def patterns(text: str) -> list[str]:
    """`a.{b,c} d` is `a.b`, `a.c` and `d`."""
    found = []
    for word in re.findall(r"(?:[^\s{]|\{[^}]*\})+", text.replace("VOCABULARY", VOCABULARY)):
        head, _, tail = word.partition("{")
        found += [head + part.strip() for part in tail.rstrip("}").split(",")] if tail else [word]
    return found
