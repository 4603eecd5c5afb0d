"""Streams over real gRPC: what the client sees of each way in and out."""

from __future__ import annotations

import asyncio
import gc
import logging

import grpc
import pytest
from fakes.edge import FakeHost, cluster, run_edge
from fakes.xds_client import DELTA_ADS, TIMEOUT_S, Connection

from xds import names
from xds.edge import guest, methods
from xds.edge.server import EdgeServer, wake_all
from xds.engine.record import make_record
from xds.errors import Fault, LocalError, PeerError
from xds.limits import STATUS_CHARS_MAX


def publish(host: FakeHost, *records, removals=()) -> None:
    wake_all(host.view.apply(records, removals))


async def until(condition) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 (a condition of several objects, none of which tells)
            await asyncio.sleep(0)


# ----- the way of a resource


def test_a_subscription_is_answered_and_a_change_is_pushed() -> None:
    async def client(address, host, server) -> None:
        publish(host, cluster("a"))
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            first = await stream.receive()
            assert (first.type_url, len(first.resources), first.control_plane.identifier) == (names.CLUSTER, 1, "test")
            await stream.ack(first)
            publish(host, cluster("b"))
            second = await stream.receive()
            assert len(second.resources) == 2
            assert second.nonce != first.nonce

    host = run_edge(client)
    assert host.seen == [("node", None)]
    assert host.now == set()


def test_delta_carries_what_changed_and_what_went() -> None:
    async def client(address, host, server) -> None:
        publish(host, cluster("a"), cluster("b"))
        async with Connection(address) as connection:
            stream = connection.delta()
            await stream.ask(names.CLUSTER)
            first = await stream.receive()
            assert sorted(resource.name for resource in first.resources) == ["a", "b"]
            await stream.ack(first)
            publish(host, cluster("b", b"changed"), removals=[(names.CLUSTER, "a")])
            second = await stream.receive()
            await stream.ack(second)
            assert [resource.name for resource in second.resources] == ["b"]
            removed = list(second.removed_resources) or list((await stream.receive()).removed_resources)
            assert removed == ["a"]

    run_edge(client)


def test_a_stream_of_one_type_needs_no_type_url() -> None:
    async def client(address, host, server) -> None:
        publish(host, make_record(names.ENDPOINT, "e", b""))
        async with Connection(address) as connection:
            stream = connection.sotw(methods.EDS_METHODS[0].path)
            await stream.ask("", ["e"])
            assert (await stream.receive()).type_url == names.ENDPOINT

    run_edge(client)


def test_a_fetch_is_answered() -> None:
    async def client(address, host, server) -> None:
        publish(host, cluster("a"))
        async with Connection(address) as connection:
            response = await connection.fetch(methods.CDS_METHODS[2].path, names.CLUSTER, ["a"])
            assert len(response.resources) == 1
            assert host.now == set()

    run_edge(client)


def test_a_fetch_waits_for_what_is_not_there_yet() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            fetch = connection.fetch(methods.EDS_METHODS[2].path, "", ["e"])
            waiting = asyncio.get_running_loop().create_task(fetch)
            await until(lambda: host.now)
            publish(host, make_record(names.ENDPOINT, "e", b""))
            assert len((await waiting).resources) == 1

    run_edge(client)


def test_a_fetch_does_not_wait_for_ever() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await connection.fetch(methods.EDS_METHODS[2].path, "", ["e"])
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    assert run_edge(client, fetch_wait_s=0.01).now == set()


def test_rejections_are_announced() -> None:
    announced = []

    async def client(address, host, server) -> None:
        publish(host, cluster("a"))
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.nack(await stream.receive(), "no good")
            await until(lambda: announced)

    run_edge(client, on_rejected=lambda stream: announced.extend(stream.session.take_rejections()))
    assert [(rejection.names, rejection.message) for rejection in announced] == [(("a",), "no good")]


def test_the_session_learns_what_the_client_rejected_earlier() -> None:
    async def client(address, host, server) -> None:
        publish(host, cluster("a"))
        async with Connection(address) as connection:
            version = host.view.get(names.CLUSTER, "a").version
            stream = connection.delta()
            await stream.ask(names.CLUSTER, ["*"], initial={"a": version})
            assert [resource.name for resource in (await stream.receive()).resources] == ["a"]

    run_edge(client, doubts=lambda peer, node: [(names.CLUSTER, "a")])


def test_listeners_wait_for_clusters_but_not_for_ever() -> None:
    async def client(address, host, server) -> None:
        listener = make_record(names.LISTENER, "l", b"")
        publish(host, cluster("a"), listener)
        async with Connection(address) as connection:
            stream = connection.sotw()
            for type_url in (names.CLUSTER, names.LISTENER):
                await stream.ask(type_url)
                await stream.ack(await stream.receive())
            await until(lambda: server.tally.requests == 4)
            publish(host, cluster("a", b"2"), make_record(names.LISTENER, "l", b"2"))
            assert (await stream.receive()).type_url == names.CLUSTER  # which the client does not acknowledge
            assert (await stream.receive()).type_url == names.LISTENER

    run_edge(client, gate_timeout_s=0.01)


# ----- refusals


@pytest.mark.parametrize("node", ["", None])
def test_a_first_request_without_a_node_is_refused(node) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw(node="")
            await stream.send(
                type_url=names.CLUSTER, **({} if node is None else {"node": {"id": node, "cluster": "c"}})
            )
            code, details = await stream.status()
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert details.startswith("missing node information")

    assert run_edge(client).closings == 0


def test_the_node_of_a_stream_does_not_change() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw(node="one")
            await stream.ask(names.CLUSTER)
            await stream.receive()
            await stream.ask(names.LISTENER, node={"id": "one", "cluster": "metadata may change"})
            await stream.receive()
            assert next(iter(host.now)).node.cluster == "metadata may change"
            await stream.ask(names.CLUSTER, node={"id": "two"})
            code, details = await stream.status()
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "'one'" in details
            assert "'two'" in details

    run_edge(client)


def test_equal_node_bytes_are_not_parsed_again(monkeypatch) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER, node={"id": "n"})
            await stream.receive()
            monkeypatch.delattr("xds.engine.wire.parse_node")
            await stream.ask(names.LISTENER, node={"id": "n"})
            await stream.receive()

    run_edge(client)


@pytest.mark.parametrize(
    ("path", "type_url", "code", "words"),
    [
        (None, "", grpc.StatusCode.INVALID_ARGUMENT, "names its type"),
        (None, names.SECRET, grpc.StatusCode.PERMISSION_DENIED, "ask the SDS server"),
        (methods.CDS_METHODS[0].path, names.LISTENER, grpc.StatusCode.INVALID_ARGUMENT, "StreamClusters carries"),
        (methods.CDS_METHODS[0].path, names.SECRET, grpc.StatusCode.PERMISSION_DENIED, "ask the SDS server"),
        (methods.SDS_METHODS[0].path, names.SECRET, grpc.StatusCode.UNIMPLEMENTED, ""),
        ("/envoy.service.discovery.v3.AggregatedDiscoveryService/Nothing", "", grpc.StatusCode.UNIMPLEMENTED, ""),
    ],
)
def test_a_wrong_type_ends_the_stream(path, type_url, code, words) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw(path) if path else connection.sotw()
            if code is not grpc.StatusCode.UNIMPLEMENTED:
                await stream.ask(type_url)
            found, details = await stream.status()
            assert found is code
            assert words in details

    run_edge(client)


@pytest.mark.parametrize("path", [DELTA_ADS, None])
def test_secrets_are_refused_on_a_running_stream_too(path) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.delta() if path else connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.receive()
            await stream.ask(names.SECRET, ["default"])
            assert (await stream.status())[0] is grpc.StatusCode.PERMISSION_DENIED

    run_edge(client)


def test_a_server_does_not_carry_what_it_is_to_refuse() -> None:
    with pytest.raises(LocalError, match="told to refuse"):
        EdgeServer(FakeHost(), methods.SDS_METHODS, trust_domain="td.test", identifier="")


@pytest.mark.parametrize("first", [True, False])
def test_garbage_ends_its_stream_only(first) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            other, stream = connection.sotw(), connection.sotw()
            await other.ask(names.CLUSTER)
            await other.receive()
            if not first:
                await stream.ask(names.CLUSTER)
                await stream.receive()
            await stream.send_bytes(b"\xff\xff\xff")
            assert (await stream.status())[0] is grpc.StatusCode.INVALID_ARGUMENT
            await other.ask(names.LISTENER)
            await other.receive()

    run_edge(client)


@pytest.mark.parametrize("where", ["refuse_admit", "refuse_open"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
        (Fault.DENIED, grpc.StatusCode.PERMISSION_DENIED),
        (Fault.EXHAUSTED, grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_what_the_host_refuses_is_told(where, fault, code) -> None:
    async def client(address, host, server) -> None:
        setattr(host, where, PeerError(fault, "a reason\nof two lines, ä" + "x" * 5000))
        async with Connection(address) as connection:
            stream = connection.sotw()
            if where == "refuse_open":
                await stream.ask(names.CLUSTER)
            found, details = await stream.status()
            assert found is code
            assert details.startswith("a reason of two lines, \\xe4")
            assert len(details) == STATUS_CHARS_MAX
        assert server.tally.refused == {fault: 1}

    run_edge(client)


@pytest.mark.parametrize("where", ["refuse_admit", "refuse_open"])
@pytest.mark.parametrize("path", [None, methods.CDS_METHODS[2].path])
def test_our_own_failure_shows_nothing_to_the_client_and_all_to_the_log(where, path, caplog) -> None:
    async def client(address, host, server) -> None:
        setattr(host, where, ZeroDivisionError("the secret of the house"))
        async with Connection(address) as connection:
            if path:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await connection.fetch(path, "", ["a"])
                code, details = caught.value.code(), caught.value.details()
            else:
                stream = connection.sotw()
                if where == "refuse_open":
                    await stream.ask(names.CLUSTER)
                code, details = await stream.status()
            assert code is grpc.StatusCode.INTERNAL
            assert details == "internal error; the server's log says more"

    run_edge(client)
    assert "the secret of the house" in caplog.text


@pytest.mark.parametrize("call", ["on_request", "next_reply"])
def test_a_failing_session_ends_its_stream(call, caplog, monkeypatch) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.ack(await stream.receive())

            def fail(self, *_: object) -> None:
                raise ZeroDivisionError("inside")

            await until(lambda: server.tally.requests == 2)
            monkeypatch.setattr(f"xds.engine.session.Session.{call}", fail)
            await stream.ask(names.LISTENER)
            assert await stream.status() == (
                grpc.StatusCode.INTERNAL,
                "internal error; the server's log says more",
            )

    assert run_edge(client).now == set()
    assert "inside" in caplog.text


# ----- ends


def test_half_close_ends_with_ok() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.receive()
            await stream.half_close()
            assert (await stream.status())[0] is grpc.StatusCode.OK
            await until(lambda: not server.streams)

    host = run_edge(client)
    assert (host.closings, host.view.sessions) == (1, set())


def test_half_close_before_the_first_request_is_no_stream() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.half_close()
            assert (await stream.status())[0] is grpc.StatusCode.OK

    assert run_edge(client).seen == []


def test_one_of_two_streams_of_a_node_ends_and_the_other_goes_on() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            one, two = connection.sotw(), connection.sotw()
            for stream in (one, two):
                await stream.ask(names.CLUSTER)
                await stream.ack(await stream.receive())
            one.cancel()
            await until(lambda: len(server.streams) == 1)
            publish(host, cluster("a"))
            assert len((await two.receive()).resources) == 1

    run_edge(client)


def test_a_stream_can_be_ended_with_a_reason() -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.receive()
            next(iter(server.streams)).end(Fault.DENIED, "banned")
            assert await stream.status() == (grpc.StatusCode.PERMISSION_DENIED, "banned")

    run_edge(client)


def test_draining_ends_streams_and_refuses_new_ones() -> None:
    async def main() -> None:
        host = FakeHost()
        server = EdgeServer(host, methods.XDS_METHODS, trust_domain="td.test", identifier="")
        address = await server.start("127.0.0.1:0", None)
        connections = []

        async def open_stream():
            connection = Connection(address)
            connections.append(connection)
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.receive()
            return stream

        try:
            stream = await guest.call(open_stream())
        finally:
            await server.drain(60.0)  # at once, for nothing is left after the streams have ended
        assert await guest.call(stream.status()) == (
            grpc.StatusCode.UNAVAILABLE,
            "the server is draining; connect again",
        )
        assert host.now == set()
        await guest.call(connections[0].close())
        await server.drain(60.0)  # again is nothing

    guest.run(main)


def test_a_client_that_does_not_read_blocks_only_itself_and_loses_its_stream() -> None:
    async def client(address, host, server) -> None:
        big = [cluster(f"big{n}", bytes(1_000_000)) for n in range(20)]
        publish(host, *big)
        async with Connection(address) as slow, Connection(address) as quick:
            deaf = slow.delta(node="deaf")
            await deaf.ask(names.CLUSTER)
            await until(lambda: any(stream.writing for stream in server.streams))
            stream = quick.sotw(node="quick")
            await stream.ask(names.LISTENER)
            await stream.ack(await stream.receive())
            for n in range(5):
                publish(host, make_record(names.LISTENER, f"l{n}", b""))
                response = await stream.receive()
                assert len(response.resources) == n + 1
                await stream.ack(response)
            await until(lambda: len(server.streams) == 1)  # the deaf one is ended
            assert next(iter(server.streams)).node.id == "quick"

    host = run_edge(client, write_blocked_s=0.2)
    assert host.now == set()


def test_a_client_that_does_not_read_does_not_hold_draining_up() -> None:
    async def main() -> None:
        host = FakeHost()
        publish(host, *[cluster(f"big{n}", bytes(1_000_000)) for n in range(20)])
        server = EdgeServer(host, methods.XDS_METHODS, trust_domain="td.test", identifier="")
        address = await server.start("127.0.0.1:0", None)

        async def connect() -> Connection:
            connection = Connection(address)
            stream = connection.delta()
            await stream.ask(names.CLUSTER)
            await until(lambda: any(stream.writing for stream in server.streams))
            return connection

        connection = await guest.call(connect())
        await server.drain(0.1)
        assert host.now == set()
        await guest.call(connection.close())

    guest.run(main)


def test_a_connection_ends_at_its_age_and_the_client_comes_back(caplog) -> None:
    async def client(address, host, server) -> None:
        async with Connection(address) as connection:
            for _ in range(2):
                stream = connection.sotw()
                await stream.ask(names.CLUSTER)
                await stream.receive()
                with pytest.raises(EOFError, match="UNAVAILABLE"):
                    await stream.receive()

    host = run_edge(client, connection_age_s=0.1, connection_grace_s=0.1)
    assert len(host.seen) == 2
    assert host.now == set()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_thousand_streams_on_one_connection() -> None:
    async def client(address, host, server) -> None:
        publish(host, *[make_record(names.SECRET, f"s{n}", b"") for n in range(1000)])
        async with Connection(address) as connection:

            async def ask(name: str):
                stream = connection.delta(methods.SDS_METHODS[1].path)
                await stream.ask("", [name])
                response = await stream.receive()
                assert [resource.name for resource in response.resources] == [name]
                return stream

            streams = await asyncio.gather(*(ask(f"s{n}") for n in range(1000)))
            assert len(server.streams) == 1000
            publish(host, make_record(names.SECRET, "s7", b"new"))
            assert [resource.name for resource in (await streams[7].receive()).resources] == ["s7"]

    run_edge(client, serve=methods.SDS_METHODS, forbidden_types=frozenset())


def test_two_thousand_resets_leave_nothing_behind(caplog) -> None:
    """Streams, sessions, tasks and objects of ours are back at what they were; with collection switched off."""
    found = {}

    async def client(address, host, server) -> None:
        publish(host, cluster("a"))
        async with Connection(address) as connection:

            async def cycle() -> None:
                stream = connection.delta()
                await stream.ask(names.CLUSTER)
                await stream.receive()
                stream.cancel()

            await cycle()
            await until(lambda: not server.streams)
            gc.collect()
            gc.disable()
            try:
                before = ours()
                for _ in range(200):
                    await asyncio.gather(*(cycle() for _ in range(10)))
                await until(lambda: not server.streams)
                await until(lambda: len(asyncio.all_tasks()) < 20)
                found.update(before=before, after=ours())
            finally:
                gc.enable()

    host = run_edge(client)
    assert host.view.sessions == set()
    assert host.closings == 2001
    assert found["after"] == found["before"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def ours() -> dict[str, int]:
    kinds = {"Stream", "Session", "Subscription", "NodeInfo", "Peer"}
    counts = dict.fromkeys(kinds, 0)
    for thing in gc.get_objects():
        kind = type(thing)
        if kind.__name__ in kinds and kind.__module__.startswith("xds."):
            counts[kind.__name__] += 1
    return counts
