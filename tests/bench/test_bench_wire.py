"""The generator's own HTTP/2 and protobuf, against other people's."""

import h2.config
import h2.connection
import h2.events
import pytest

from bench.clients import envelope
from bench.clients.http2 import ClientStream, StreamEnded, grpc_message, opening, ready_message
from bench.core import corpus, protobuf
from bench.core.histogram import Latencies
from xds.api.descriptors import envoy_api


class Server:
    """An HTTP/2 server by the `h2` library, without sockets."""

    def __init__(self):
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.h2.initiate_connection()
        self.received = b""
        self.headers = {}

    def take(self, data):
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self.headers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.received += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        return self.h2.data_to_send()


def exchange(client, server):
    """Carry bytes both ways until both are silent; returns what the client got."""
    messages = []
    to_client = server.h2.data_to_send()
    while client.out or to_client:
        if to_client:
            messages += client.feed(to_client)
        to_server, client.out = bytes(client.out), bytearray()
        to_client = server.take(to_server)
    return messages


@pytest.fixture
def connected():
    client, server = ClientStream(), Server()
    client.out += opening(envelope.DELTA_ADS, "127.0.0.1:1", tls=False)
    exchange(client, server)
    server.h2.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    exchange(client, server)
    return client, server


def test_the_request_names_the_method(connected):
    _, server = connected
    assert server.headers[b":path"] == envelope.DELTA_ADS.encode()
    assert server.headers[b"content-type"] == b"application/grpc"


def test_a_message_larger_than_the_window_arrives_whole(connected):
    client, server = connected
    client.send(b"n" * 200_000)
    exchange(client, server)
    assert server.received == grpc_message(b"n" * 200_000)


def test_ready_messages_keep_their_place_behind_what_waits_for_a_window(connected):
    client, server = connected
    client.send(b"n" * 100_000)
    client.send_ready(ready_message(b"ack"))
    exchange(client, server)
    assert server.received == grpc_message(b"n" * 100_000) + grpc_message(b"ack")


@pytest.mark.parametrize("size", [1, 300, 50_000])
def test_messages_of_the_server_arrive(connected, size):
    client, server = connected
    for part in range(0, size + 5, 16_000):
        server.h2.send_data(1, grpc_message(b"r" * size)[part : part + 16_000])
    assert exchange(client, server) == [b"r" * size]


def test_messages_arrive_byte_by_byte(connected):
    client, server = connected
    server.h2.send_data(1, grpc_message(b"one") + grpc_message(b"two"))
    server.h2.ping(b"12345678")
    data = server.h2.data_to_send()
    got = [message for at in range(len(data)) for message in client.feed(data[at : at + 1])]
    assert got == [b"one", b"two"]
    assert b"12345678" in client.out


def test_the_receive_window_is_given_back(connected):
    client, server = connected
    for _ in range(3000):
        server.h2.send_data(1, grpc_message(b"r" * 16_000))
        assert exchange(client, server) == [b"r" * 16_000]


def test_trailers_end_the_stream_with_their_status(connected):
    client, server = connected
    server.h2.send_headers(1, [("grpc-status", "7"), ("grpc-message", "no")], end_stream=True)
    with pytest.raises(StreamEnded, match="grpc-status 7: no"):
        client.feed(server.h2.data_to_send())


def test_goaway_ends_the_stream(connected):
    client, server = connected
    server.h2.close_connection(11, b"too_many_pings")
    with pytest.raises(StreamEnded, match="goaway, error 11"):
        client.feed(server.h2.data_to_send())


def test_the_cluster_is_one_to_envoys_api():
    message = envoy_api().message_for(corpus.CLUSTER).FromString(corpus.cluster(3, 17))
    assert message.name == "cluster-000003"
    assert message.alt_stat_name.startswith("seq:00000017;")
    assert message.connect_timeout.seconds == 1
    assert abs(len(corpus.cluster(3, 17)) - corpus.CLUSTER_BYTES) <= 4


def test_the_route_is_one_to_envoys_api():
    message = envoy_api().message_for(corpus.ROUTE).FromString(corpus.route(17))
    (route,) = message.virtual_hosts[0].routes
    assert route.match.prefix == "/"
    assert (route.direct_response.status, route.direct_response.body.inline_string) == (200, "seq:00000017;")


def test_the_node_is_one_to_envoys_api_and_of_real_size():
    data = corpus.node("bench-1")
    message = envoy_api().message("envoy.config.core.v3.Node").FromString(data)
    assert (message.id, message.cluster) == ("bench-1", "bench")
    assert len(message.extensions) > 100
    assert abs(len(data) - corpus.NODE_BYTES) < 300


def test_requests_and_responses_are_those_of_envoys_api():
    service = "envoy.service.discovery.v3"
    request = envoy_api().message(f"{service}.DeltaDiscoveryRequest")
    first = request.FromString(envelope.subscribe(corpus.CLUSTER, corpus.node("bench-1", 500)))
    assert (first.type_url, first.node.id) == (corpus.CLUSTER, "bench-1")
    nack = request.FromString(envelope.reject(corpus.CLUSTER, "n1", "bad"))
    assert (nack.response_nonce, nack.error_detail.message) == ("n1", "bad")
    ack = request.FromString(envelope.acknowledge(corpus.CLUSTER, "n1"))
    assert not ack.HasField("error_detail")
    response = envoy_api().message(f"{service}.DeltaDiscoveryResponse")(
        type_url=corpus.CLUSTER, nonce="n2", system_version_info="v", removed_resources=["gone"]
    )
    added = response.resources.add(name="cluster-000001", version="1")
    added.resource.type_url, added.resource.value = corpus.CLUSTER, corpus.cluster(1, 12)
    seen = envelope.parse(response.SerializeToString())
    assert (seen.type_url, seen.nonce, seen.removed, seen.mark) == (corpus.CLUSTER, "n2", 1, 12)
    name, digest = envelope.named_digest(seen.resources[0])
    assert (name, digest) == ("cluster-000001", corpus.digest_of_body(corpus.cluster(1, 12)))


@pytest.mark.parametrize("broken", [b"", b"\x12\x7f", b"\xff" * 20, protobuf.field(4, corpus.CLUSTER)])
def test_what_is_no_response_is_an_error(broken):
    with pytest.raises(ValueError, match=r"varint|field|without|wire type"):
        envelope.parse(broken)


def test_the_expected_state_is_what_a_follower_holds():
    state, held = corpus.State(3), {}
    for index in range(3):
        held[corpus.cluster_name(index)] = corpus.digest_of_body(corpus.cluster(index, 0))
    state.change(1, 9)
    assert state.digest() != corpus.digest_of(held)
    held[corpus.cluster_name(1)] = corpus.digest_of_body(corpus.cluster(1, 9))
    assert state.digest() == corpus.digest_of(held)


def test_histograms_survive_their_text():
    latencies = Latencies()
    for milliseconds in range(1, 101):
        latencies.record(milliseconds * 1_000_000)
    again = Latencies.decode(latencies.encode())
    assert again.count == 100
    assert again.ms(50) == pytest.approx(50, rel=0.01)
    assert again.ms(100) == pytest.approx(100, rel=0.01)
