"""The processes themselves: start, rotations that a client sees, kill -9, signals, refusals (identity 73, 115, 130)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import grpc.aio
import pytest
from cryptography import x509
from fakes.ca_processes import BOUND_S, TRUST_DOMAIN, Site, get
from fakes.envoy_messages import new
from fakes.unprivileged import UNPRIVILEGED, may_read
from fakes.waiting import wait_for
from fakes.xds_client import Connection

from xds.names import SECRET

DELTA = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
SHORT = f"- {{node: web, spiffe_id: spiffe://{TRUST_DOMAIN}/web, ttl: 3s}}\n"
LONG = f"- {{node: web, spiffe_id: spiffe://{TRUST_DOMAIN}/web, ttl: 20s}}\n"


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def receive_serials(listen, pair, ca_pem, count, between=lambda number: None):
    """The serials of that many secrets, each acknowledged, over one stream."""
    serials = []
    async with Connection(listen, ca_pem, pair) as connection:
        stream = connection.delta(DELTA, node="web")
        await stream.ask(SECRET, ["default"])
        while len(serials) < count:
            response = await stream.receive()
            await stream.ack(response)
            secret = new("envoy.extensions.transport_sockets.tls.v3.Secret")
            secret.ParseFromString(response.resources[0].resource.value)
            leaf = x509.load_pem_x509_certificate(secret.tls_certificate.certificate_chain.inline_bytes)
            serials.append(f"{leaf.serial_number:x}")
            between(len(serials))
    return serials


async def until(condition):
    """Ask again until it is true; the caller sets the bound."""
    while not condition():  # noqa: ASYNC110 (another process sets no event)
        await asyncio.sleep(0.05)


def serials(*arguments, **options):
    return asyncio.run(asyncio.wait_for(receive_serials(*arguments, **options), BOUND_S))


def test_a_client_sees_rotations_and_the_status_knows_what_it_holds(site):
    (site.entries / "web.yaml").write_text(SHORT)
    with site.signer() as signer, site.ca() as ca:
        signer.ready()
        where = ca.ready()
        pair, ca_pem = site.enrolled("web")
        seen = serials(where["listen"], pair, ca_pem, 3)
        assert len(set(seen)) == 3
        status = site.status()
        (row,) = status["certificates"]
        assert row["rotations"] >= 2
        assert row["acked_serial"] is not None
        assert row["spiffe_id"] == f"spiffe://{TRUST_DOMAIN}/web"
        assert status["bundle"]["sequence"] == 1
        assert status["entries"] == {"count": 1, "error": None, "path": str(site.entries)}
        metrics = get(where["http"], "/metrics").decode()
        assert 'legation_ca_svid_not_after_seconds{node="web"' in metrics
        assert get(where["http"], "/readyz") == b"ok\n"
        assert stat.S_IMODE(site.admin.stat().st_mode) == 0o660
        assert ca.end() == 0
        assert signer.end() == 0
    everything = json.dumps(status) + metrics + ca.text() + signer.text()
    assert "PRIVATE KEY" not in everything


def test_a_killed_signer_costs_nothing_and_its_return_is_found(site):
    """The last one keeps being served, newcomers included; afterwards renewal goes on by itself."""
    (site.entries / "web.yaml").write_text(LONG)
    with site.signer() as signer, site.ca() as ca:
        signer.ready()
        listen = ca.ready()["listen"]
        pair, ca_pem = site.enrolled("web")
        (first,) = serials(listen, pair, ca_pem, 1)
        signer.end(signal.SIGKILL)
        (again,) = serials(listen, pair, ca_pem, 1)
        assert again == first
        wait_for(lambda: site.status()["signer"]["error"], "the outage is told")
        (site.entries / "web.yaml").write_text(SHORT)
        with site.signer() as second:
            second.ready()
            assert len(set(serials(listen, pair, ca_pem, 2))) == 2
            wait_for(lambda: site.status()["signer"]["error"] is None, "the return is told")
        assert ca.child.poll() is None
        assert ca.end() == 0


def test_a_killed_ca_comes_back_with_new_keys_on_the_same_port(site):
    (site.entries / "web.yaml").write_text(LONG)
    with site.signer() as signer, site.ca() as ca:
        signer.ready()
        listen = ca.ready()["listen"]
        pair, ca_pem = site.enrolled("web")
        (first,) = serials(listen, pair, ca_pem, 1)
        assert ca.end(signal.SIGKILL) == -signal.SIGKILL
        with site.ca(listen=listen) as second:
            assert second.ready()["listen"] == listen
            (again,) = serials(listen, pair, ca_pem, 1)
            assert again != first, "keys are in memory only"
            assert second.end() == 0
        assert not site.admin.exists()


def test_entries_are_followed_and_a_bad_file_changes_nothing(site):
    with site.signer() as signer, site.ca() as ca:
        signer.ready()
        listen = ca.ready()["listen"]
        pair, ca_pem = site.enrolled("web")

        async def story():
            async with Connection(listen, ca_pem, pair) as connection:
                stream = connection.delta(DELTA, node="web")
                await stream.ask(SECRET, ["default"])
                (site.entries / "web.yaml").write_text(LONG)
                await stream.ack(await stream.receive())
                (site.entries / "bad.yaml").write_text("- {node: web")
                await until(lambda: site.status()["entries"]["error"])
                assert "bad.yaml:1" in site.status()["entries"]["error"]
                assert site.status()["entries"]["count"] == 1
                (site.entries / "bad.yaml").unlink()
                ca.child.send_signal(signal.SIGHUP)
                await until(lambda: not site.status()["entries"]["error"])
                (site.entries / "web.yaml").write_text("[]")
                await until(lambda: all(row["withdrawn"] for row in site.status()["certificates"]))

        asyncio.run(asyncio.wait_for(story(), BOUND_S))
        assert ca.end() == 0


def test_a_stranger_and_a_workload_are_refused(site):
    (site.entries / "web.yaml").write_text(LONG)
    with site.signer() as signer, site.ca() as ca:
        signer.ready()
        listen = ca.ready()["listen"]
        web, ca_pem = site.enrolled("web")

        async def ask(pair):
            async with Connection(listen, ca_pem, pair) as connection:
                stream = connection.delta(DELTA, node="web")
                with contextlib.suppress(EOFError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await stream.ask(SECRET, ["default"])
                    await stream.receive()
                return await stream.status()

        xds = {path.name: path.read_bytes() for path in (site.run / "xds" / "current").iterdir()}
        server = type(web)(xds["cert.pem"], xds["key.pem"], 0)
        code, message = asyncio.run(ask(server))
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert "cp/xds" in message


def test_when_it_says_ready_the_files_of_xds_are_there_and_its_memory_is_its_own(site):
    with site.signer() as signer, site.ca("--server-name", "cp.example", before=UNPRIVILEGED) as ca:
        signer.ready()
        ca.ready()
        limits = Path(f"/proc/{ca.child.pid}/limits").read_text()
        (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        assert not may_read(f"/proc/{ca.child.pid}/environ")
        current = site.run / "xds" / "current"
        leaf = x509.load_pem_x509_certificate((current / "cert.pem").read_bytes())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://{TRUST_DOMAIN}/cp/xds"]
        assert "cp.example" in names.get_values_for_type(x509.DNSName)
        assert stat.S_IMODE((current / "key.pem").stat().st_mode) == 0o600
        assert current.is_symlink()


def failing(process) -> tuple[int, str]:
    with process:
        code = process.child.wait(BOUND_S)
        return code, process.text()


def test_a_signer_socket_with_loose_permissions_is_refused_with_a_sentence(site):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fspath(site.socket))
        site.socket.chmod(0o666)
        bound.listen()
        code, text = failing(site.ca())
    assert code == 1
    assert f"{site.socket} has mode 0666" in text
    assert "Traceback" not in text


def test_a_port_in_use_is_an_error_that_names_it(site):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, text = failing(site.ca(listen=address))
    assert code == 1
    assert address in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--trust-domain", "UPPER"), "trust domain"),
        (("--listen", "nonsense"), "nonsense"),
        (("--unknown",), "unknown"),
    ],
)
def test_a_bad_command_line_is_code_two(site, arguments, expected):
    code, text = failing(site.ca(*arguments))
    assert code == 2
    assert expected in text
    assert "Traceback" not in text


def test_a_run_directory_that_others_may_write_gets_no_key(site):
    site.run.chmod(0o777)
    code, text = failing(site.ca())
    assert code == 1
    assert "0777" in text


def test_a_first_reading_that_fails_leaves_it_up_and_not_ready(site):
    (site.entries / "bad.yaml").write_text("- {")
    with site.signer() as signer, site.ca() as ca:
        signer.ready()
        where = ca.ready()
        assert b"bad.yaml" in get(where["http"], "/readyz")
        (site.entries / "bad.yaml").write_text("[]")
        wait_for(lambda: get(where["http"], "/readyz") == b"ok\n", "it becomes ready")


def test_terminated_while_it_waits_for_the_signer_it_ends_at_once(site):
    with site.ca() as ca:
        wait_for(lambda: answers(site), "it has begun")
        assert site.status()["ready"] is False
        assert ca.end() == 0


def answers(site) -> bool:
    try:
        return bool(site.status())
    except OSError:
        return False


@pytest.mark.parametrize("module", ["ca.__main__", "ca.enroll"])
def test_it_loads_neither_envoys_api_nor_its_typed_classes(module):
    script = (
        f"import sys, {module}\n"
        "never = ('envoy_data_plane', 'betterproto2', 'xds.api', 'xds.config', 'ca.signer')\n"
        "loaded = [m for m in sys.modules if m.startswith(never)]\n"
        "print(loaded)\n"
        f"print([m for m in sys.modules if m == 'grpc'] if {module!r} == 'ca.enroll' else [])\n"
    )
    found = subprocess.run([sys.executable, "-P", "-c", script], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["[]", "[]"]
