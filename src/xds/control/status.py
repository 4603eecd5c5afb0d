"""What the admin API says, as plain data: truth from acknowledgements, not from intentions. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from xds.control.fleet import Connected
from xds.control.flow import SourceStatus
from xds.control.rejections import Refusal, type_name
from xds.engine.events import Rejection, TypeStatus
from xds.engine.view import View

Json = dict[str, Any]


def source_json(status: SourceStatus) -> Json:
    """The source, with everything that is wrong with it."""
    return {
        "path": status.path,
        "files": status.files,
        "resources": status.resources,
        "error": status.error,
        "errors": [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "resource": problem.resource,
                "field": problem.field,
                "message": problem.message,
            }
            for problem in status.problems
        ],
    }


def nodes_json(connected: Iterable[Connected], now: float) -> list[Json]:
    """The connected nodes by name; a node with several streams is one entry."""
    nodes: dict[tuple[str, str | None], list[Connected]] = {}
    for one in connected:
        nodes.setdefault((one.node, one.spiffe_id), []).append(one)
    return [
        _node_json(streams, now) for _, streams in sorted(nodes.items(), key=lambda item: (item[0][0], str(item[0][1])))
    ]


def rejections_json(refusals: Iterable[Refusal], now: float) -> list[Json]:
    """The newest rejections, also of nodes that have gone."""
    return [
        {
            "node": refusal.node,
            "spiffe_id": refusal.spiffe_id,
            "type": type_name(refusal.rejection.type_url),
            "age_s": round(now - refusal.at_s, 1),
            **_rejection_json(refusal.rejection),
        }
        for refusal in refusals
    ]


def _node_json(streams: list[Connected], now: float) -> Json:
    newest = max(streams, key=lambda one: one.stream.opened_at)
    types: dict[str, Json] = {}
    # The newest stream speaks last: an old one may be a connection that is dead and not yet reaped.
    for one in sorted(streams, key=lambda one: one.stream.opened_at):
        for status in one.stream.session.status():
            types[status.type_url] = _type_json(status, one.view)
    return {
        "node": newest.node,
        "spiffe_id": newest.spiffe_id,
        "node_id": newest.stream.node.id,
        "user_agent": newest.stream.node.user_agent,
        "address": newest.stream.peer.address,
        "streams": len(streams),
        "connected_s": round(now - min(one.stream.opened_at for one in streams), 1),
        "types": sorted(types.values(), key=lambda one: str(one["type"])),
    }


def _type_json(status: TypeStatus, view: View) -> Json:
    return {
        "type": type_name(status.type_url),
        "wildcard": status.wildcard,
        "names": status.names,
        "acked": status.acked_version,
        "sent": status.sent_version,
        "current": view.version(status.type_url),
        "commit_acked": status.acked_commit,
        "commit_sent": status.sent_commit,
        "commit_current": view.commit,
        "in_flight": status.in_flight,
        "parked": list(status.parked),
        "rejection": None if status.rejection is None else _rejection_json(status.rejection),
    }


def _rejection_json(rejection: Rejection) -> Json:
    return {
        "names": list(rejection.names),
        "message": rejection.message,
        "version": rejection.version,
        "source": ", ".join(rejection.sources),
    }
