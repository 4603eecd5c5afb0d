"""Rotation and failure under traffic: nothing that the control plane does, or that is done to it, costs a request."""

from __future__ import annotations

import os
import signal
import socket
import ssl

import pytest
from conftest import Mesh
from stack import get, pid_of

pytestmark = pytest.mark.envoy


def served_certificate(port: int) -> bytes:
    """The certificate that a listener shows in its handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw) as tls:
        return tls.getpeercert(binary_form=True) or b""


def test_rotations_drop_no_request_on_old_or_new_connections(rotating: Mesh) -> None:
    seen = {served_certificate(rotating.api_port)}
    with rotating.traffic() as traffic:

        def rotated_twice() -> bool:
            seen.add(served_certificate(rotating.api_port))
            return len(seen) >= 3

        rotating.stack.wait("two rotations in the handshake", rotated_twice)
    assert traffic.failed == []
    assert traffic.ok > 100


@pytest.mark.parametrize("process", ["xds", "ca", "signer"])
def test_kill_9_of_a_process_costs_no_request(rotating: Mesh, process: str) -> None:
    with rotating.traffic() as traffic:
        old = pid_of(rotating.stack.status(), process)
        certificate = served_certificate(rotating.api_port)
        os.kill(old, signal.SIGKILL)

        def back() -> bool:
            now = rotating.stack.status()
            return now["ok"] and pid_of(now, process) != old

        rotating.stack.wait(f"{process} is back", back)
        rotating.stack.wait("certificates rotate again", lambda: served_certificate(rotating.api_port) != certificate)
        green = rotating.stack.app("green")
        rotating.publish_api(green)
        rotating.stack.wait("configuration flows again", lambda: "green" in get(rotating.port).body)
        rotating.stack.wait("enough requests", lambda: traffic.failed or traffic.ok > 50)
    assert traffic.failed == []
