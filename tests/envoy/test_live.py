"""What we claim of real Envoys: configuration goes live, mistakes do not, and an operator is told."""

from __future__ import annotations

import json
import time

import mesh
import pytest
from conftest import Mesh
from stack import free_port, get

from xds.limits import GATE_TIMEOUT_S

pytestmark = pytest.mark.envoy


def rejections(running: Mesh, node: str) -> list[dict]:
    nodes = {entry["node"]: entry for entry in running.stack.status()["xds"]["nodes"]}
    return [kind["rejection"] for kind in nodes[node]["types"] if kind["rejection"]]


def test_a_new_listener_and_route_go_live(running: Mesh) -> None:
    port = free_port()
    assert get(port).status == 0
    running.stack.resource(
        "extra.json",
        mesh.file(
            running.td,
            "web",
            mesh.listener("extra", port, {}),
            mesh.route("extra", "api", "/extra"),
        ),
    )
    running.stack.wait("the new listener answers", lambda: get(port, "/extra/x").status == 200)
    assert get(port, "/other").status == 404


def test_an_endpoint_changes_without_a_lost_request(running: Mesh) -> None:
    green = running.stack.app("green")
    assert get(running.port).body.startswith("blue")
    with running.traffic() as traffic:
        running.stack.wait("requests before it", lambda: traffic.ok > 10)
        running.publish_api(green)
        running.stack.wait("the other endpoint answers", lambda: get(running.port).body.startswith("green"))
        before = traffic.ok
        running.stack.wait("requests after it", lambda: traffic.ok > before + 10)
    assert traffic.failed == []


def test_what_envoy_rejects_is_shown_with_its_file_and_the_old_keeps_serving(running: Mesh) -> None:
    path = running.stack.folder / "resources" / "api.json"
    good = path.read_text()
    broken = json.loads(good)
    listener = next(one for one in broken["resources"] if one["@type"].endswith("Listener"))
    # Legal by its schema, and refused by Envoy alone: the router has to be the last filter.
    listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"].reverse()
    with running.traffic() as traffic:
        running.stack.resource("api.json", json.dumps(broken))
        found = running.stack.wait("the rejection is in status", lambda: rejections(running, "api"))
        assert "router" in json.dumps(found).lower(), found
        assert "api.json" in json.dumps(found), found
        before = traffic.ok
        running.stack.wait("requests while it is rejected", lambda: traffic.ok > before + 20)
        assert rejections(running, "api") == found
        running.stack.resource("api.json", good)
        running.stack.wait("the rejection is over", lambda: not rejections(running, "api"))
    assert traffic.failed == []
    assert traffic.ok > 20
    people = running.stack.cli("status").stdout
    assert "api" in people


def test_a_bad_cluster_and_a_route_to_it_in_one_change_lose_no_request(running: Mesh) -> None:
    """{+ bad cluster, - the cluster in use, route from the one to the other}: the one keeps serving until it is mended.

    Envoy takes the good part of a response and refuses the rest, so the route and the removal must not reach it.
    """
    green = running.stack.app("green")
    sizes = {"minimum_ring_size": 2048, "maximum_ring_size": 1024}  # Envoy alone knows that this cannot be
    with running.traffic() as traffic:
        running.stack.wait("requests before it", lambda: traffic.ok > 10)
        running.publish_api(green, name="other", lb_policy="RING_HASH", ring_hash_lb_config=sizes)
        found = running.stack.wait("the rejection is in status", lambda: rejections(running, "api"))
        assert "ring_size" in json.dumps(found), found
        before, end = traffic.ok, time.monotonic() + GATE_TIMEOUT_S + 1.0
        running.stack.wait("the time for which a gate waits", lambda: traffic.failed or time.monotonic() > end)
        assert traffic.failed == []
        assert traffic.ok > before + 20
        assert get(running.port).body.startswith("blue")
        running.publish_api(green, name="other")
        running.stack.wait("the mended cluster answers", lambda: get(running.port).body.startswith("green"))
        running.stack.wait("the rejection is over", lambda: not rejections(running, "api"))
    assert traffic.failed == []


def test_a_file_with_a_mistake_changes_nothing_and_is_named(running: Mesh) -> None:
    path = running.stack.folder / "resources" / "api.json"
    good = path.read_text()
    running.stack.resource("api.json", good.replace("lb_endpoints", "lb_endpoint"))
    error = running.stack.wait("the mistake is in status", lambda: running.stack.status()["xds"]["source"]["error"])
    assert "api.json" in str(error)
    assert "lb_endpoint" in str(error)
    assert get(running.port).status == 200
    running.stack.resource("api.json", good)
    running.stack.wait("the mistake is gone", lambda: not running.stack.status()["xds"]["source"]["error"])


def test_a_stranger_with_a_valid_certificate_is_refused_by_rbac(running: Mesh) -> None:
    port = free_port()
    running.publish_caller("stranger", port)
    running.stack.envoy("stranger")
    refused = running.stack.wait("an answer for the stranger", lambda: (reply := get(port)).status == 403 and reply)
    assert "RBAC" in refused.body
    assert get(running.port).status == 200


@pytest.mark.slow
def test_an_idle_envoy_keeps_its_connection(running: Mesh) -> None:
    """Its pings, every 5 s, are allowed: a server that counts them as abuse throws it off every 20 s."""
    opened = [process.log_path.read_text().count("stream opened") for process in running.stack.processes]
    time.sleep(45)  # nothing to wait for: that nothing happens is the claim
    again = [process.log_path.read_text().count("stream opened") for process in running.stack.processes]
    assert again == opened
    assert sum(opened) >= 2, "the count must see the streams that were opened at the start"
