"""The whole API of Envoy from one descriptor set, in a pool of its own (docs/decisions/0001)."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator
from typing import Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import api_implementation
from google.protobuf.message import Message

from xds.api.quoting import quoted_type
from xds.errors import ConfigError, LocalError
from xds.names import PREFIX

COVERAGE: Final = "Envoy API v3, complete for Envoy 1.36"
"""What this version of the source was measured to carry (`bench/api_coverage.py`)."""


class UnknownType(ConfigError):  # noqa: N818 - says what is wrong, not that something is
    """A message type that the API we carry does not have."""


class EnvoyApi:
    """Message classes by full name or type URL."""

    __slots__ = ("_classes", "pool", "version")

    def __init__(self, pool: descriptor_pool.DescriptorPool, version: str) -> None:
        self.pool = pool
        self.version = version
        self._classes: dict[str, type[Message]] = {}

    def message(self, full_name: str) -> type[Message]:
        """Class of `envoy.config.cluster.v3.Cluster`, say. Raises `UnknownType`."""
        found = self._classes.get(full_name)
        if found is None:
            try:
                descriptor = self.pool.FindMessageTypeByName(full_name)
            except KeyError:
                raise UnknownType(f"unknown type {quoted_type(full_name)}: this build carries {self.version}") from None
            found = self._classes[full_name] = message_factory.GetMessageClass(descriptor)
        return found

    def message_for(self, type_url: str) -> type[Message]:
        """Class for a type URL. Raises `UnknownType`."""
        return self.message(type_url.removeprefix(PREFIX))

    def known(self, type_url: str) -> bool:
        """True if the API we carry has the type."""
        try:
            self.message_for(type_url)
        except UnknownType:
            return False
        return True


@functools.cache
def envoy_api() -> EnvoyApi:
    """The API, loaded once (20 ms). Raises `LocalError` if this installation cannot carry it."""
    implementation = api_implementation.Type()
    if implementation != "upb":
        raise LocalError(
            f"protobuf runs its {implementation!r} implementation, which is 20 times slower than upb; "
            "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, or install protobuf from a wheel",
        )
    pool = descriptor_pool.DescriptorPool()
    for file in _files(_generated("envoy.binpb")):
        pool.AddSerializedFile(file)
    return EnvoyApi(pool, f"{_generated('api-version.txt').decode().strip()}; {COVERAGE}")


def _generated(name: str) -> bytes:
    try:
        return importlib.resources.files("xds").joinpath("_gen", name).read_bytes()
    except FileNotFoundError:
        raise LocalError(f"this installation lacks xds/_gen/{name}: install legation again with pip") from None


def _files(data: bytes) -> Iterator[bytes]:
    """Cut a FileDescriptorSet into its files; each is field 1, so parsing them all only to re-serialise is saved."""
    position = 0
    while position < len(data):
        position += 1
        length = shift = 0
        while True:
            byte = data[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:  # noqa: PLR2004 (the continuation bit of a varint)
                break
        yield data[position : position + length]
        position += length
