"""A resource file's text to its resources: YAML or JSON, in the format of Envoy's own filesystem subscription.

    resources:
    - "@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
      name: web

Beside `resources`, `nodes` (ours) says which nodes the file is for. The other fields of Envoy's `DiscoveryResponse` may
stand there and mean nothing to us: versions come from the content, types from the resources. A resource may be wrapped
in an `envoy.service.discovery.v3.Resource`, which gives it a name.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from xds import limits, names
from xds.api.descriptors import UnknownType, envoy_api
from xds.api.faults import FieldFault
from xds.api.paths import Step, steps_text
from xds.api.quoting import quoted, quoted_type
from xds.config import resource as resources
from xds.config.decode import decoder
from xds.config.document import Document, Unreadable
from xds.config.json_text import JsonDocument
from xds.config.problems import FileError, Problem
from xds.config.resource import Resource
from xds.config.scope import Selector, parse_selectors
from xds.config.yaml_text import YamlDocument
from xds.engine.record import Record

WRAPPER: Final = names.PREFIX + "envoy.service.discovery.v3.Resource"
IGNORED: Final = frozenset({"version_info", "type_url", "nonce", "canary", "control_plane"})
KEYS: Final = ("resources", "nodes", *sorted(IGNORED))
TYPE: Final = "@type"


@dataclass(frozen=True, eq=False)
class ParsedFile:
    """What a file holds. Compared by identity: a file that did not change keeps its object."""

    path: str
    selectors: tuple[Selector, ...]
    """Empty: every node."""
    resources: tuple[Resource, ...]
    warnings: tuple[Problem, ...] = field(default=())

    @cached_property
    def records(self) -> MappingProxyType[tuple[str, str], Record]:
        """Records by (type URL, name)."""
        return MappingProxyType({resource.key: resource.record for resource in self.resources})


def parse_file(path: str, text: str) -> ParsedFile:
    """Read a file's text: `.json` as JSON, all else as YAML. Raises `FileError` with everything that is wrong."""
    if len(text) > limits.CONFIG_FILE_BYTES_MAX:
        raise FileError.of(path, f"is larger than {limits.CONFIG_FILE_BYTES_MAX} bytes")
    try:
        document: Document = JsonDocument(text) if path.endswith(".json") else YamlDocument(text)
    except Unreadable as error:
        raise FileError([Problem(path, fault.message, *fault.position) for fault in error.faults]) from None
    return _Parser(path, document).parse()


class _Parser:
    """One file on its way from a document to resources; collects what is wrong."""

    def __init__(self, path: str, document: Document) -> None:
        self._path = path
        self._document = document
        self._problems: list[Problem] = []

    def parse(self) -> ParsedFile:
        top = self._document.value
        if not isinstance(top, dict):
            raise FileError.of(self._path, "expects a mapping with `resources` at its top", 1, 1)
        self._check_keys(top)
        selectors = self._selectors(top)
        found = [made for index, item in enumerate(self._items(top)) if (made := self._resource(index, item))]
        self._problems += duplicates(found)
        if self._problems:
            raise FileError(sorted(self._problems, key=lambda problem: (problem.line, problem.column)))
        return ParsedFile(self._path, selectors, tuple(found), warnings_of(found))

    def _check_keys(self, top: dict[str, Any]) -> None:
        for key in top:
            if key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(KEYS)}"
                self._complain((key,), f"has the key {quoted(key)}, which resource files do not have{hint}", key=True)
        if "resources" not in top:
            self._complain((), "lacks `resources`; a file without any says `resources: []`")

    def _selectors(self, top: dict[str, Any]) -> tuple[Selector, ...]:
        if "nodes" not in top:
            return ()
        selectors, faults = parse_selectors(top["nodes"])
        for path, reason in faults:
            self._complain(("nodes", *path), reason, field=steps_text(("nodes", *path)))
        return selectors

    def _items(self, top: dict[str, Any]) -> Sequence[Any]:
        items = top.get("resources", [])
        if isinstance(items, list):
            return items
        self._complain(("resources",), "expects a list (an empty one is written [])", field="resources")
        return ()

    def _resource(self, index: int, item: Any) -> Resource | None:
        """One resource, or None and its problems noted."""
        where: tuple[Step, ...] = ("resources", index)
        if not isinstance(item, dict):
            self._complain(where, f'expects a mapping with "{TYPE}"', field=f"resources[{index}]")
            return None
        if item.get(TYPE) == WRAPPER:
            return self._wrapped(where, item)
        return self._bare(where, item, None)

    def _wrapped(self, where: tuple[Step, ...], item: dict[str, Any]) -> Resource | None:
        extra = [key for key in item if key not in {TYPE, "name", "version", "resource"}]
        for key in extra:
            reason = "cannot be served here (an expiring resource crashes Envoy)" if key == "ttl" else ""  # facts A1
            self._complain((*where, key), reason or "is not carried by resource files", field=key, key=True)
        inner = item.get("resource")
        if not isinstance(inner, dict):
            self._complain(where, "a Resource expects the resource itself in `resource`", field="resource")
        name = item.get("name")
        if name is not None and not isinstance(name, str):
            self._complain((*where, "name"), "expects text", field="name")
        elif isinstance(inner, dict) and not extra:
            return self._bare((*where, "resource"), inner, name or None)
        return None

    def _bare(self, where: tuple[Step, ...], item: dict[str, Any], name: str | None) -> Resource | None:
        type_url = item.get(TYPE)
        if not isinstance(type_url, str):
            self._complain(where, f'lacks "{TYPE}"' if type_url is None else f'has an "{TYPE}" that is not text')
            return None
        try:
            return self._made(where, item, type_url, name)
        except FieldFault as fault:
            shown = _title(type_url, item, name)
            self._complain((*where, *fault.steps), fault.reason, resource=shown, field=fault.path)
            return None

    def _made(self, where: tuple[Step, ...], item: dict[str, Any], type_url: str, name: str | None) -> Resource | None:
        try:
            message = envoy_api().message_for(type_url)()
        except UnknownType as error:
            raise FieldFault((None, TYPE), str(error)) from None
        resources.refuse_type(type_url)
        complaints = decoder().decode({key: value for key, value in item.items() if key != TYPE}, message)
        for complaint in complaints:
            self._complain(
                (*where, *complaint.path),
                complaint.reason,
                resource=_title(type_url, item, name),
                field=complaint.field,
                key=complaint.at_key,
            )
        if complaints:
            return None
        if name is None:
            name = resources.name_of(type_url, message)
        else:
            resources.refuse_name(name, "name")
        line = self._document.position(where[:2]).line
        return resources.make_resource(type_url, name, message, self._path, line)

    def _complain(
        self,
        path: tuple[Step, ...],
        message: str,
        *,
        resource: str = "",
        field: str = "",
        key: bool = False,
    ) -> None:
        line, column = self._document.position(path, key=key)
        self._problems.append(Problem(self._path, message, line, column, resource, field))


def duplicates(found: Sequence[Resource]) -> list[Problem]:
    """Resources of one file with the type and name of an earlier one."""
    first: dict[tuple[str, str], Resource] = {}
    problems = []
    for item in found:
        other = first.setdefault(item.key, item)
        if other is not item:
            problems.append(
                Problem(item.file, f"stands here twice; the first is at {other.place}", item.line, 0, item.title)
            )
    return problems


def warnings_of(found: Sequence[Resource]) -> tuple[Problem, ...]:
    """Advice that the resources of a file give rise to."""
    return tuple(
        Problem(item.file, advice.sentence, item.line, 0, item.title, advice.field)
        for item in found
        for advice in item.advice
    )


def _title(type_url: str, item: dict[str, Any], name: str | None) -> str:
    """What people call a resource that could not be made."""
    named = name or item.get(resources.NAME_FIELDS.get(type_url, "name"))
    kind = quoted_type(type_url.rpartition(".")[2])[1:-1]
    return resources.title(kind, named) if isinstance(named, str) and named else kind
