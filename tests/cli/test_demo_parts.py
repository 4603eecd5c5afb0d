"""The demo's parts that can be wrong on their own."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from legation.demo.der import Shown, read_certificate
from legation.demo.http import Client, serve_app
from legation.demo.probe import certificate_of, probe_context
from legation.demo.run import legation_command
from legation.demo.tally import Handshakes, Requests, Tally
from legation.demo.view import introduction
from legation.demo.workspace import FIXED, free_ports, make_workspace, source_files, substitute


def certificate(serial: int, begin: dt.datetime, end: dt.datetime, name: str = "x"):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(serial).not_valid_before(begin).not_valid_after(end)
    return builder.sign(key, hashes.SHA256()), key


MOMENTS = st.integers(-599_000_000, 253_000_000_000).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))
"""From 1951, when UTCTime begins for certificates, to almost the end of year 9998."""


@given(st.integers(1, 2**159 - 1), MOMENTS, st.integers(1, 10**6), st.sampled_from(["x", "n" * 60]))
def test_serial_and_validity_are_read_as_cryptography_reads_them(serial, begin, seconds, name):
    made, _ = certificate(serial, begin, begin + dt.timedelta(seconds=seconds), name)
    shown = read_certificate(made.public_bytes(serialization.Encoding.DER))
    assert shown == Shown(f"{serial:x}", made.not_valid_before_utc, made.not_valid_after_utc)


@given(st.binary(max_size=100))
def test_what_is_no_certificate_is_a_value_error(data):
    with pytest.raises(ValueError):  # noqa: PT011 (of any kind)
        read_certificate(data)


def test_a_handshake_shows_the_certificate_also_to_a_client_without_one(tmp_path):
    made, key = certificate(0xABCDEF, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2040, 1, 1, tzinfo=dt.UTC))
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "pem")

    async def shake(stream):
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(stream, context, server_side=True).do_handshake()
        await trio.aclose_forcefully(stream)

    async def main():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, shake, 0)
            port = listeners[0].socket.getsockname()[1]
            shown = await certificate_of(port, probe_context())
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return shown

    assert trio.run(main).serial == "abcdef"


@pytest.mark.parametrize(("keep_alive", "connections"), [(True, 1), (False, 3)])
def test_the_app_and_the_client_speak_http(keep_alive, connections):
    async def main():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(serve_app, 0)
            client = Client(listeners[0].socket.getsockname()[1], keep_alive=keep_alive)
            for _ in range(3):
                answer = await client.get()
                assert answer.status == 200
                assert answer.body == "hello from the app; you came as nobody\n"
            assert client.connections == connections
            await client.close()
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_an_answer_that_does_not_come_is_an_error_and_the_next_request_connects_again():
    async def silent(stream):
        await stream.receive_some(1)

    async def main():
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, silent, 0)
            client = Client(listeners[0].socket.getsockname()[1], keep_alive=True)
            for _ in range(2):
                with pytest.raises((OSError, trio.BrokenResourceError, Exception)):
                    await client.get()
            assert client.connections == 2
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_demo_names_the_legation_that_it_runs_from(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert legation_command() == f"{tmp_path}/python -P -m legation"
    (tmp_path / "legation").touch(mode=0o755)
    assert legation_command() == "legation"
    monkeypatch.setenv("PATH", "/nonexistent")
    assert legation_command() == f"{tmp_path}/legation"
    workspace = make_workspace(tmp_path, 1)
    assert (
        f"  {tmp_path}/legation status --config {tmp_path}/legation.yaml\n"
        in introduction(workspace, legation_command()).plain
    )


def shown(serial: str) -> Shown:
    return Shown(serial, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2021, 1, 1, tzinfo=dt.UTC))


def test_a_rotation_is_another_serial_than_before():
    seen = Handshakes()
    assert [seen.saw(shown(serial), now) for now, serial in enumerate("aabba")] == [False, False, True, False, True]
    assert (seen.rotations, seen.handshakes, seen.since) == (2, 5, 4)


def full_tally() -> Tally:
    tally = Tally(envoys={"web": Handshakes(rotations=2, handshakes=9), "api": Handshakes(rotations=3, handshakes=9)})
    for requests in (tally.kept, tally.new):
        requests.count(200, "", "t")
    tally.stranger.count(403, "", "t")
    return tally


def test_the_verdict_is_good_only_without_a_failure_and_with_rotations_of_each():
    assert full_tally().failures(rotations_min=2) == []
    assert full_tally().failures(rotations_min=3) == ["web: 2 rotations seen in 9 handshakes, at least 3 are expected"]


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("kept", None, "1 of 2 kept-alive requests failed:"),
        ("new", 503, "1 of 2 new-connection requests failed:"),
        ("stranger", 200, "1 requests of the stranger were not refused with 403"),
    ],
)
def test_one_failed_request_is_told(kind, status, says):
    tally = full_tally()
    getattr(tally, kind).count(status, "why", "12:00:00")
    failures = tally.failures(rotations_min=2)
    assert failures[0] == says
    assert failures[1].startswith("  12:00:00 ")
    assert "why" in failures[1]


def test_no_traffic_and_a_broken_process_are_failures():
    tally = Tally(broken=["envoy web ended by itself"])
    assert tally.failures(rotations_min=0) == [
        "envoy web ended by itself",
        "no kept-alive request was made",
        "no new-connection request was made",
    ]


def test_a_thousand_failures_do_not_fill_the_memory():
    requests = Requests(200)
    for _ in range(1000):
        requests.count(None, "x", "t")
    assert (requests.bad, len(requests.failures)) == (1000, 20)


def test_ports_are_substituted_as_whole_numbers_and_in_one_pass():
    assert substitute("10000 110000 10000s 10001", {10000: 10001, 10001: 7}) == "10001 110000 10000s 7"


def test_free_ports_differ():
    assert len(set(free_ports(20, 1))) == 20


def test_every_fixed_port_occurs_in_the_files_and_none_is_left_in_the_copy(tmp_path):
    text = "".join(path.read_text() for path in source_files().iterdir())
    assert all(str(number) in text for number in FIXED.values())
    workspace = make_workspace(tmp_path, 1)
    copied = "".join(path.read_text() for path in tmp_path.rglob("*.yaml"))
    assert not [number for number in FIXED.values() if f"port_value: {number}" in copied]
    assert {path.name for path in workspace.settings.resources.iterdir()} == {
        "web.yaml",
        "api.yaml",
        "stranger.yaml",
        "web_route.py",
    }
    assert workspace.settings.trust_domain == "demo.legation"
