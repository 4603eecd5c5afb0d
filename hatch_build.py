"""Build hook: dumps Envoy's API, and our own protos, as descriptor sets into ``src/xds/_gen/``.

Why descriptor sets and not generated modules: docs/decisions/0001. The dump runs in a subprocess with ``-P``, so that
neither the source tree's ``xds`` nor anything else in the current directory shadows the ``xds`` of xds-protos.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DUMP = r"""
import importlib, pathlib, sys
from google.protobuf import descriptor_pb2
import envoy

out, site = sys.argv[1], pathlib.Path(next(iter(envoy.__path__))).parent
files = {}

def add(fd):
    if fd.name in files:
        return
    for dependency in fd.dependencies:
        add(dependency)
    proto = descriptor_pb2.FileDescriptorProto()
    fd.CopyToProto(proto)
    files[fd.name] = proto

# Envoy takes types of udpa/ and xds/ inside an Any that no file of envoy/ imports (TypedStruct, CEL and IP matchers).
for root in ("envoy", "udpa", "xds"):
    for path in sorted((site / root).rglob("*_pb2.py")):
        name = ".".join(path.relative_to(site).with_suffix("").parts)
        add(importlib.import_module(name).DESCRIPTOR)
result = descriptor_pb2.FileDescriptorSet(file=[files[name] for name in files])
pathlib.Path(out).write_bytes(result.SerializeToString(deterministic=True))
"""


class DescriptorSets(BuildHookInterface[Any]):
    """Writes ``envoy.binpb`` (the closure of ``envoy/``, ``udpa/``, ``xds/``) and ``legation.binpb`` (``protos/``)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 (hatchling's signature)
        """Run before the files are collected."""
        root = Path(self.root)
        gen = root / "src" / "xds" / "_gen"
        gen.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-P", "-c", DUMP, str(gen / "envoy.binpb")], check=True, cwd="/")
        (gen / "api-version.txt").write_text(f"xds-protos {metadata.version('xds-protos')}\n")
        protos = root / "protos"
        sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
        subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "grpc_tools.protoc",
                f"--proto_path={protos}",
                "--include_imports",
                f"--descriptor_set_out={gen / 'legation.binpb'}",
                *sources,
            ],
            check=True,
            cwd=protos,
        )
