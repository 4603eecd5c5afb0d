"""Who gets in: real handshakes with real certificates, and listening itself."""

from __future__ import annotations

import datetime as dt
import socket
import ssl

import grpc
import pytest
import trio
from fakes.certs import Authority, Pair
from fakes.edge import TRUST_DOMAIN, FakeHost, run_edge
from fakes.xds_client import Connection

from xds import names
from xds.edge import guest, methods
from xds.edge.credentials import ServerCredentials
from xds.edge.server import EdgeServer
from xds.errors import ConfigError, LocalError

AUTHORITY = Authority(TRUST_DOMAIN)
SERVER = AUTHORITY.server()
NODE_ID = "spiffe://td.test/cp/node/web"


def credentials(pair: Pair = SERVER) -> ServerCredentials:
    return ServerCredentials(pair.cert_pem, pair.key_pem, AUTHORITY.ca_pem)


def refused(pair: Pair | None) -> tuple[grpc.StatusCode, str, list]:
    """Connect with a client certificate; returns the status and what the host has seen."""
    found = []

    async def client(address, host, server) -> None:
        async with Connection(address, AUTHORITY.ca_pem, pair) as connection:
            found.append(await connection.sotw().status())

    host = run_edge(client, credentials=credentials())
    return (*found[0], host.seen)


def test_a_node_of_our_trust_domain_is_let_in_as_its_certificate_says() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address, AUTHORITY.ca_pem, AUTHORITY.node("web")) as connection:
            stream = connection.sotw(node="says something else")
            await stream.ask(names.CLUSTER)
            await stream.receive()
            peer = next(iter(host.now)).peer
            assert peer.spiffe_id.node_name == "web"
            assert peer.address.startswith("127.0.0.1:")

    host = run_edge(client, credentials=credentials())
    assert host.seen == [("says something else", "spiffe://td.test/cp/node/web")]


@pytest.mark.parametrize(
    ("uris", "words"),
    [
        (["spiffe://other.test/cp/node/web"], "another trust domain"),
        (["spiffe://td.test/a", "spiffe://td.test/b"], "2 URI names"),
        (["spiffe://td.test/a", "https://td.test/a"], "2 URI names"),
        (["https://td.test/a"], "does not begin with spiffe://"),
        (["spiffe://td.test"], "whole trust domain"),
        (["spiffe://td.test/a?query"], "path character"),
        (["spiffe://td.test/../a"], "relative path segment"),
        ([], "0 URI names"),
        (["spiffe://td.test/cp/node/web\0b"], "path character"),  # gRPC says `web`
    ],
)
def test_another_identity_is_unauthenticated(uris, words) -> None:
    code, details, seen = refused(AUTHORITY.leaf(*uris))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert words in details
    assert seen == []


@pytest.mark.parametrize("uri", ["spiffe://td.test", "spiffe://td.test/cp/node/web"])
def test_an_issuing_certificate_is_no_client(uri) -> None:
    code, details, seen = refused(AUTHORITY.leaf(uri, ca=True))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "issuing" in details
    assert seen == []


def test_a_certificate_that_has_ended_gets_nowhere_though_the_handshake_takes_it() -> None:
    """As in a resumed session, whose handshake looks at no certificate: here it is the clock that has gone on."""
    end = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    found = []

    async def client(address, host, server) -> None:
        async with Connection(address, AUTHORITY.ca_pem, AUTHORITY.leaf(NODE_ID, not_after=end)) as connection:
            found.append(await connection.sotw().status())

    host = run_edge(client, credentials=credentials(), wall=end.timestamp)
    code, details = found[0]
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "certificate expired at 2040-01-01T00:00:00Z: renew it" in details
    assert host.seen == []


def test_a_stream_ends_with_its_certificate(monkeypatch) -> None:
    monkeypatch.setattr("xds.limits.CERTIFICATE_ROUND_S", 0.01)
    monkeypatch.setattr("xds.edge.upkeep.CERTIFICATE_PAUSE_S", 0.01)
    end = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
    now = [end.timestamp() - 1]
    found = []

    async def client(address, host, server) -> None:
        pairs = (AUTHORITY.leaf(NODE_ID, not_after=end), AUTHORITY.node("longer"))
        async with (
            Connection(address, AUTHORITY.ca_pem, pairs[0]) as ending,
            Connection(address, AUTHORITY.ca_pem, pairs[1]) as lasting,
        ):
            streams = [ending.sotw(), lasting.sotw()]
            for stream in streams:
                await stream.ask(names.CLUSTER)
                await stream.receive()
            now[0] = end.timestamp()
            found.append(await streams[0].status())
            await streams[1].ask(names.LISTENER)
            await streams[1].receive()

    run_edge(client, credentials=credentials(), wall=lambda: now[0])
    assert found == [
        (
            grpc.StatusCode.UNAUTHENTICATED,
            "certificate expired at 2040-01-01T00:00:00Z: renew it, and connect again",
        )
    ]


@pytest.mark.parametrize("pair", [None, Authority("td.test").node("web")], ids=["no certificate", "another root"])
def test_without_a_certificate_of_our_root_there_is_no_connection(pair) -> None:
    code, _, seen = refused(pair)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert seen == []


def shown_serial(address: str, pair: Pair, tmp_path) -> int:
    """The serial number that the server shows in a new handshake."""
    from cryptography import x509  # noqa: PLC0415 (only here)

    (tmp_path / "cert").write_bytes(pair.cert_pem)
    (tmp_path / "key").write_bytes(pair.key_pem)
    context = ssl.create_default_context(cadata=AUTHORITY.ca_pem.decode())
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number


def test_new_connections_see_rotated_credentials_and_old_ones_go_on(tmp_path) -> None:
    rotating, node = credentials(), AUTHORITY.node("web")
    second, third = AUTHORITY.server(), AUTHORITY.server()

    async def main() -> None:
        server = EdgeServer(FakeHost(), methods.XDS_METHODS, trust_domain=TRUST_DOMAIN, identifier="")
        address = await server.start("127.0.0.1:0", rotating)

        async def shown() -> int:
            return await trio.to_thread.run_sync(shown_serial, address, node, tmp_path)

        async def ask(stream, type_url) -> None:
            await stream.ask(type_url)
            await stream.receive()

        async def connect() -> Connection:
            return Connection(address, AUTHORITY.ca_pem, node)

        try:
            connection = await guest.call(connect())
            stream = connection.sotw()
            await guest.call(ask(stream, names.CLUSTER))
            assert [await shown(), await shown()] == [SERVER.serial, SERVER.serial]
            for pair in (second, third):
                rotating.update(pair.cert_pem, pair.key_pem, AUTHORITY.ca_pem)
                assert [await shown(), await shown()] == [pair.serial, pair.serial]
            with pytest.raises(LocalError):
                rotating.update(second.cert_pem, third.key_pem, AUTHORITY.ca_pem)
            assert await shown() == third.serial
            await guest.call(ask(stream, names.LISTENER))
            await guest.call(connection.close())
        finally:
            await server.drain(1.0)

    guest.run(main)


def test_trusted_roots_rotate_too() -> None:
    rotating, other = credentials(), Authority(TRUST_DOMAIN)

    async def client(address, host, server) -> None:
        rotating.update(SERVER.cert_pem, SERVER.key_pem, AUTHORITY.ca_pem + other.ca_pem)
        for pair in (other.node("new"), AUTHORITY.node("old")):
            async with Connection(address, AUTHORITY.ca_pem, pair) as connection:
                stream = connection.sotw()
                await stream.ask(names.CLUSTER)
                await stream.receive()

    host = run_edge(client, credentials=rotating)
    assert [spiffe_id for _, spiffe_id in host.seen] == ["spiffe://td.test/cp/node/new", "spiffe://td.test/cp/node/old"]


def start(listen: str, tls: ServerCredentials | None) -> None:
    async def main() -> None:
        server = EdgeServer(FakeHost(), methods.XDS_METHODS, trust_domain=TRUST_DOMAIN, identifier="")
        try:
            await server.start(listen, tls)
        finally:
            await server.drain(0)

    guest.run(main)


@pytest.mark.parametrize("tls", [True, False])
def test_a_port_in_use_is_our_error_and_names_the_address(tls) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(LocalError, match=rf"cannot listen on {listen}: address already in use"):
            start(listen, credentials() if tls else None)


def test_a_second_server_on_the_same_port_is_an_error() -> None:
    async def main() -> None:
        servers = [EdgeServer(FakeHost(), methods.XDS_METHODS, trust_domain="td.test", identifier="") for _ in range(2)]
        address = await servers[0].start("127.0.0.1:0", None)
        try:
            with pytest.raises(LocalError, match="already in use"):
                await servers[1].start(address, None)
        finally:
            for server in servers:
                await server.drain(0)

    guest.run(main)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"])
def test_plaintext_is_for_loopback(listen) -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        start(listen, None)
