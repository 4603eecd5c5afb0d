"""One resource: from a message to a record and the facts that the checks of a snapshot need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message

from xds import limits, names
from xds.api import sensitive
from xds.api.faults import FieldFault
from xds.api.keytext import key_in
from xds.api.quoting import NAME_CHARS_MAX, WITHHELD, quoted, quoted_type, revealing
from xds.api.references import Advice, Reference, References, unique
from xds.api.tables import Kind
from xds.api.walk import walker
from xds.engine.record import Record, make_record

NAME_FIELDS: Final = {
    names.LISTENER: "name",
    names.ROUTE: "name",
    names.SCOPED_ROUTE: "name",
    names.VIRTUAL_HOST: "name",
    names.CLUSTER: "name",
    names.ENDPOINT: "cluster_name",
    names.EXTENSION: "name",
    names.RUNTIME: "name",
}
"""The types that Envoy subscribes to and that we serve, each with the field that names a resource."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as it stands in a file."""

    record: Record
    file: str
    line: int
    references: tuple[Reference, ...]
    """Clusters that it names."""
    advice: tuple[Advice, ...]

    @property
    def key(self) -> tuple[str, str]:
        """(type URL, name)."""
        return self.record.type_url, self.record.name

    @property
    def title(self) -> str:
        """`Cluster "web"`, for people."""
        return title(self.record.type_url, self.record.name)

    @property
    def place(self) -> str:
        """`clusters.yaml:12`."""
        return self.record.source


def title(type_url: str, name: str) -> str:
    """`Cluster "web"`, for people."""
    kind = type_url.rpartition(".")[2]
    if revealing(name):
        return f"{kind} {WITHHELD}"
    plain = name.isprintable() and len(name) <= NAME_CHARS_MAX
    return f'{kind} "{name}"' if plain else f"{kind} {quoted(name)}"


def refuse_type(type_url: str) -> None:
    """Raise `FieldFault` if resources of this type cannot be published here."""
    if type_url in NAME_FIELDS:
        return
    if type_url == names.SECRET:
        reason = f"a Secret does not belong here: keys are served by SDS, from another process; {sensitive.ADVICE}"
    else:
        kinds = ", ".join(sorted(url.rpartition(".")[2] for url in NAME_FIELDS))
        reason = f"{quoted_type(type_url)} is not a type that Envoy subscribes to here; those are {kinds}"
    raise FieldFault((None, "@type"), reason)


def name_of(type_url: str, message: Message) -> str:
    """Name of a resource. Raises `FieldFault` where it has none that can be used."""
    field = NAME_FIELDS[type_url]
    name: str = getattr(message, field)
    refuse_name(name, field)
    return name


def refuse_name(name: str, field: str) -> None:
    """Raise `FieldFault` unless a resource can have this name."""
    if not name:
        raise FieldFault((None, field), "is missing: a resource is subscribed to by its name")
    if len(name.encode()) > limits.NAME_BYTES_MAX:
        raise FieldFault((None, field), f"is longer than {limits.NAME_BYTES_MAX} bytes")
    if key_in(name.encode()):
        raise FieldFault((None, field), f"holds a private key; {sensitive.ADVICE}")
    if name == "*":
        raise FieldFault((None, field), "may not be *, which subscribes to every resource")


def make_resource(type_url: str, name: str, message: Any, file: str, line: int) -> Resource:
    """The resource. Raises `SensitiveField` and `UnknownContent`; never puts a value into a message."""
    found = References()
    for visit in walker().walk(message):
        sensitive.look(visit)
        found.look(visit)
    body = message.SerializeToString(deterministic=True)
    sensitive.refuse_keys(message, body)
    source = f"{file}:{line}" if line else file
    clusters = dict.fromkeys(reference.cluster for reference in found.clusters if reference.kind is Kind.TRAFFIC)
    record = make_record(type_url, name, body, children=unique(found.children), clusters=clusters, source=source)
    return Resource(record, file, line, found.checkable(), tuple(found.advice))
