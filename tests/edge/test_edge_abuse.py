"""One client takes more than its share: it is told so, and the others do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import resource

import grpc
import pytest
from fakes.certs import Authority
from fakes.edge import TRUST_DOMAIN, cluster, run_edge
from fakes.xds_client import DELTA_ADS, Connection, message

from xds import limits, names
from xds.edge import descriptors, guest, methods, requests
from xds.edge.credentials import ServerCredentials
from xds.edge.identity import Peer
from xds.edge.quota import Quota
from xds.edge.server import wake_all
from xds.edge.stream import UNSERVED_TYPES_MAX
from xds.errors import Fault, PeerError
from xds.names import SpiffeId

UNKNOWN = names.PREFIX + "envoy.config.endpoint.v3.LbEndpoint"


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
def test_c100_a_type_that_is_not_served_is_counted_and_the_stream_goes_on(delta, caplog) -> None:
    async def client(address, host, server) -> None:
        wake_all(host.view.apply([cluster("a")], ()))
        async with Connection(address) as connection:
            stream = connection.delta() if delta else connection.sotw()
            for number in range(UNSERVED_TYPES_MAX + 2):
                await stream.ask(f"{UNKNOWN}{number}", ["z"])
                await stream.ask(f"{UNKNOWN}{number}", ["z", "y"])
            await stream.ask(names.CLUSTER)
            assert (await stream.receive()).type_url == names.CLUSTER
            (served,) = host.now
            assert [each.type_url for each in served.session.status()] == [names.CLUSTER]
            assert server.tally.unserved == 2 * (UNSERVED_TYPES_MAX + 2)
            assert len(server.tally.unserved_types) == UNSERVED_TYPES_MAX

    run_edge(client)
    assert caplog.text.count("not served here") == UNSERVED_TYPES_MAX


def test_every_method_serves_its_type_and_an_aggregated_stream_all() -> None:
    assert methods.served_types(methods.SDS_METHODS) == {names.SECRET}
    assert methods.served_types(methods.CDS_METHODS) == {names.CLUSTER}
    assert methods.served_types(methods.ADS_METHODS) == methods.served_types(methods.XDS_METHODS) == methods.ADS_TYPES
    assert names.SECRET not in methods.ADS_TYPES


def test_a_stream_that_asks_for_nothing_ends() -> None:
    found = []

    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            found.append(await connection.sotw().status())

    assert run_edge(client, first_request_s=0.01).seen == []
    assert found == [(grpc.StatusCode.UNAVAILABLE, "no request within 0.01 s")]


def test_one_identity_has_so_many_streams_and_another_has_its_own() -> None:
    authority = Authority(TRUST_DOMAIN)
    server_pair = authority.server()
    credentials = ServerCredentials(server_pair.cert_pem, server_pair.key_pem, authority.ca_pem)

    async def open_one(connection):
        stream = connection.sotw()
        await stream.ask(names.CLUSTER)
        await stream.receive()
        return stream

    async def client(address, host, server) -> None:
        async with (
            Connection(address, authority.ca_pem, authority.node("a")) as first,
            Connection(address, authority.ca_pem, authority.node("a")) as second,
            Connection(address, authority.ca_pem, authority.node("b")) as other,
        ):
            one = await open_one(first)
            await open_one(second)
            code, details = await first.sotw().status()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "2 streams open already" in details
            await open_one(other)
            await one.half_close()
            assert (await one.status())[0] is grpc.StatusCode.OK
            await open_one(first)

    run_edge(client, credentials=credentials, streams_per_identity=2)


def test_a_quota_keeps_nothing_of_who_is_gone() -> None:
    quota, peer = Quota(1), Peer(SpiffeId.parse("spiffe://td.test/cp/node/a"), "a")
    with quota.place(peer):
        with pytest.raises(PeerError) as caught, quota.place(peer):
            pass
        assert caught.value.fault is Fault.EXHAUSTED
    assert not quota._taken
    with quota.place(Peer(None, "a")), quota.place(Peer(None, "a")):
        assert not quota._taken


NODE = message("envoy.config.core.v3.Node")
LONG = "x" * (limits.NODE_TEXT_CHARS_MAX + 1)
LARGE = NODE(id="a")
LARGE.metadata.fields["k"].string_value = "x" * limits.NODE_BYTES_MAX


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (NODE(id=LONG), "id is longer"),
        (NODE(id="a", cluster=LONG), "cluster is longer"),
        (NODE(id="a", user_agent_name=LONG), "user agent is longer"),
        (NODE(id="a", user_agent_version=LONG), "user agent is longer"),
        (NODE(id="a", locality={"sub_zone": LONG}), "locality is longer"),
        (LARGE, "larger than"),
    ],
)
def test_a_node_is_no_place_for_freight(node, words) -> None:
    first = requests.first_node(NODE(id="a").SerializeToString())
    for read in (requests.first_node, lambda data: requests.later_node(first, data)):
        with pytest.raises(PeerError, match=words) as caught:
            read(node.SerializeToString())
        assert caught.value.fault is Fault.EXHAUSTED


def test_a_real_node_fits() -> None:
    node = NODE(id="a", cluster="c", user_agent_name="envoy", locality={"region": "r"})
    node.metadata.fields["k"].string_value = "x" * 61_000
    assert requests.first_node(node.SerializeToString()).user_agent == "envoy"


def test_all_names_of_a_stream_are_bounded(monkeypatch) -> None:
    monkeypatch.setattr(limits, "STREAM_NAMES_MAX", 29_999)
    found = []

    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.delta(DELTA_ADS)
            for type_url in (names.ENDPOINT, names.ROUTE, names.EXTENSION):
                for at in range(0, 10_000, 5_000):
                    await stream.ask(type_url, [f"{type_url[-5:]}{number:08d}" for number in range(at, at + 5_000)])
            found.append(await stream.status())

    run_edge(client)
    assert found == [(grpc.StatusCode.RESOURCE_EXHAUSTED, "more than 29999 names on one stream")]


def test_a_process_that_serves_takes_all_descriptors_that_it_may_have() -> None:
    """1,024 is the usual soft limit, and as many idle connections would stop a server."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    seen = []

    async def main() -> None:
        seen.append(resource.getrlimit(resource.RLIMIT_NOFILE))

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        guest.run(main)
        assert seen == [(before[1], before[1])]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_that_cannot_be_raised_stays(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert descriptors.raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_connections_leave_descriptors_to_the_rest(monkeypatch) -> None:
    for soft, most in ((1024, 768), (300, 150), (1_000_000, 999_744)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert descriptors.for_connections() == most


def test_connections_beyond_the_bound_are_closed_and_the_others_served(monkeypatch) -> None:
    monkeypatch.setattr(descriptors, "for_connections", lambda: 2)

    async def client(address, host, server) -> None:
        wake_all(host.view.apply([cluster("a")], ()))
        _, writer = await asyncio.open_connection(*address.rsplit(":", 1))
        try:
            async with Connection(address) as connection:
                stream = connection.sotw()
                await stream.ask(names.CLUSTER)
                await stream.receive()
                extra, idle = await asyncio.open_connection(*address.rsplit(":", 1))
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(extra.read(), 5) == b""
                idle.close()
                await stream.ask(names.LISTENER)
                await stream.receive()
        finally:
            writer.close()

    run_edge(client)
