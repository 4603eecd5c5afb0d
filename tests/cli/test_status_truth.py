"""From a client's requests to what `legation status` says of it: the engine, the admin document and the report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from legation.report import is_live, report
from legation.settings import parse
from xds.control.status import nodes_json
from xds.engine.record import make_record
from xds.engine.session import Session
from xds.engine.view import View
from xds.engine.wire import message
from xds.names import ENDPOINT, ROUTE

SETTINGS = parse("", source="", base=Path("/srv"))


@dataclass
class Client:
    """A delta client of one view, with what the process knows of it."""

    view: View

    def __post_init__(self) -> None:
        self.session = Session(self.view, delta=True, allowed=None)

    def ask(self, type_url: str, *names: str, **more: Any) -> Any:
        request = message("legation.discovery.v1.DeltaRequest")()
        request.type_url = type_url
        request.resource_names_subscribe.extend(names)
        return self.session.on_request(request)

    def answer(self, reply: Any, error: str = "") -> Any:
        request = message("legation.discovery.v1.DeltaRequest")()
        request.type_url, request.response_nonce = reply.type_url, reply.nonce
        if error:
            request.error_detail.message = error
        return self.session.on_request(request)

    def report(self) -> tuple[dict[str, bool], list[str]]:
        """Which types are live, and the problems."""
        stream = SimpleNamespace(
            session=self.session,
            opened_at=0.0,
            node=SimpleNamespace(id="web", user_agent="envoy"),
            peer=SimpleNamespace(address="127.0.0.1:1"),
        )
        connected = SimpleNamespace(stream=stream, view=self.view, node="web", spiffe_id=None)
        xds = {"ready": True, "source": None, "tls": None, "nodes": nodes_json([connected], 1.0)}
        found = report(SETTINGS, running=True, supervisor=None, xds=xds, ca={"ready": True})
        (node,) = found["xds"]["nodes"]
        return {row["type"]: is_live(row) for row in node["types"]}, found["problems"]


def route(name: str, version: str = "1") -> Any:
    return make_record(ROUTE, name, f"{name} {version}".encode(), source=f"{name}.yaml:3")


def test_a_change_of_what_nobody_asked_for_leaves_a_node_live():
    view = View()
    view.apply([route("mine")], ())
    client = Client(view)
    reply = client.ask(ROUTE, "mine")
    assert client.report() == ({"RDS": False}, []), "sent is not acknowledged"
    client.answer(reply)
    assert client.report() == ({"RDS": True}, [])
    view.apply([route("another")], ())
    assert client.report() == ({"RDS": True}, [])
    view.apply([make_record(ENDPOINT, "e", b"e")], ())
    assert client.report() == ({"RDS": True}, [])


def test_a_change_that_is_due_is_not_live_until_it_is_acknowledged():
    view = View()
    view.apply([route("mine")], ())
    client = Client(view)
    client.answer(client.ask(ROUTE, "mine"))
    view.apply([route("mine", "2")], ())
    assert client.report() == ({"RDS": False}, [])
    reply = client.session.next_reply()
    assert client.report() == ({"RDS": False}, [])
    client.answer(reply)
    assert client.report() == ({"RDS": True}, [])


def test_a_rejection_stays_a_problem_until_something_better_is_acknowledged():
    view = View()
    view.apply([route("mine")], ())
    client = Client(view)
    client.answer(client.ask(ROUTE, "mine"))
    view.apply([route("mine", "bad")], ())
    client.answer(client.session.next_reply(), error="unknown cluster")
    problems = ["web rejected RDS mine (mine.yaml:3): unknown cluster"]
    assert client.report() == ({"RDS": False}, problems)
    view.apply([route("another")], ())
    assert client.report() == ({"RDS": False}, problems)
    view.apply([route("mine", "good")], ())
    client.answer(client.session.next_reply())
    assert client.report() == ({"RDS": True}, [])
