"""SDS over real gRPC with real certificates: who gets in, and what each gets (identity 59, 60, 98-105)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import grpc
import pytest
import trio
from cryptography import x509
from fakes.ca_authority import TRUST_DOMAIN
from fakes.ca_signer import RealClocks, World, until
from fakes.certs import Authority, Pair
from fakes.envoy_messages import new
from fakes.xds_client import Connection

from ca.identity.entries import Entry
from ca.identity.spiffe import SpiffeId
from ca.server.fleet import Fleet
from ca.svid.order import Order
from ca.svid.sds import SecretHost, sds_server, wake
from ca.svid.secrets import DEFAULT, ROOTCA
from xds.edge import guest
from xds.edge.credentials import ServerCredentials
from xds.names import SECRET

SERVICE = "/envoy.service.secret.v3.SecretDiscoveryService/"
SOTW, DELTA, FETCH = (SERVICE + method for method in ("StreamSecrets", "DeltaSecrets", "FetchSecrets"))
BOUND_S = 20


class Scene:
    """A server with two nodes' entries, and their certificates."""

    def __init__(self, signer) -> None:
        self.world = World(signer, RealClocks())
        self.fleet = Fleet(self.world.rotator, wake)
        self.host = SecretHost(self.fleet)
        self.server = sds_server(self.host, TRUST_DOMAIN, time.time)
        self.fleet.trust(self.world.trust.bundle)
        self.grant("web", "api")
        self.address = ""
        self.pairs: dict[str, Pair] = {}

    def grant(self, *names, ttl_s=1000):
        self.fleet.grant([Entry(name, SpiffeId(TRUST_DOMAIN, f"/{name}"), ttl_s) for name in names])

    async def start(self):
        order = Order.of_server(TRUST_DOMAIN, "ca", ("localhost",), ("127.0.0.1",))
        holder = await self.world.issuer.issue(order)
        credentials = ServerCredentials(holder.chain_pem(), holder.key_pem(), self.world.trust.bundle.pem)
        self.address = await self.server.start("127.0.0.1:0", credentials)
        for name in ("web", "api"):
            node = await self.world.issuer.issue(Order.of_node(TRUST_DOMAIN, name))
            self.pairs[name] = Pair(node.chain_pem(), node.key_pem(), node.life.serial)

    def connection(self, pair) -> Connection:
        pair = self.pairs[pair] if isinstance(pair, str) else pair
        return Connection(self.address, self.world.trust.bundle.pem, pair)


def play(signer, story) -> Scene:
    async def main():
        scene = Scene(signer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.world.rotator.run)
            await scene.start()
            try:
                with trio.fail_after(BOUND_S):
                    await guest.call(story(scene))
            finally:
                with trio.CancelScope(shield=True):
                    await scene.server.drain(5)
            nursery.cancel_scope.cancel()
        return scene

    return guest.run(main)


def secret_of(response):
    (resource,) = response.resources
    packed = resource.resource if hasattr(resource, "resource") else resource
    secret = new("envoy.extensions.transport_sockets.tls.v3.Secret")
    secret.ParseFromString(packed.value)
    return secret


def identity(secret) -> str:
    leaf = x509.load_pem_x509_certificate(secret.tls_certificate.certificate_chain.inline_bytes)
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    )[0]


def open_stream(connection, *, delta, node="web"):
    return connection.delta(DELTA, node=node) if delta else connection.sotw(SOTW, node=node)


BOTH = pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])


@BOTH
def test_each_node_gets_its_own_by_its_certificate_whatever_it_says(signer, delta):
    """Identity 60: a forged node.id changes nothing."""

    async def story(scene):
        for name, other in (("web", "api"), ("api", "web")):
            async with scene.connection(name) as connection:
                stream = open_stream(connection, delta=delta, node=other)
                await stream.ask(SECRET, [DEFAULT])
                assert identity(secret_of(await stream.receive())) == f"spiffe://{TRUST_DOMAIN}/{name}"

    play(signer, story)


@BOTH
def test_another_nodes_name_is_held_and_the_others_come(signer, delta):
    async def story(scene):
        async with scene.connection("web") as connection:
            stream = open_stream(connection, delta=delta)
            await stream.ask(SECRET, [f"spiffe://{TRUST_DOMAIN}/api", DEFAULT, ROOTCA, "nonsense"])
            names = []
            for _ in range(2):
                response = await stream.receive()
                names.append(secret_of(response).name)
                if delta:
                    await stream.ack(response)
                else:
                    await stream.ack(response, [f"spiffe://{TRUST_DOMAIN}/api", DEFAULT, ROOTCA, "nonsense"])
            assert sorted(names) == [ROOTCA, DEFAULT]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.receive(), 0.2)
            scene.host.note_denied(scene.fleet.nodes.values())
            assert scene.host.denied_count == 2

    play(signer, story)


@BOTH
def test_a_rotation_is_pushed(signer, delta):
    async def story(scene):
        scene.grant("web", ttl_s=3)
        async with scene.connection("web") as connection:
            stream = open_stream(connection, delta=delta)
            await stream.ask(SECRET, [DEFAULT])
            serials = []
            for _ in range(3):
                response = await stream.receive()
                await (stream.ack(response) if delta else stream.ack(response, [DEFAULT]))
                chain = secret_of(response).tls_certificate.certificate_chain.inline_bytes
                serials.append(x509.load_pem_x509_certificate(chain).serial_number)
            assert len(set(serials)) == 3

    play(signer, story)


def test_fetch_gives_the_same_and_waits_for_what_is_being_made(signer):
    async def story(scene):
        scene.world.client.delay_s = 0.05
        async with scene.connection("web") as connection:
            response = await connection.fetch(FETCH, SECRET, [DEFAULT])
            assert identity(secret_of(response)) == f"spiffe://{TRUST_DOMAIN}/web"
            again = await connection.fetch(FETCH, SECRET, [DEFAULT])
            assert again.version_info == response.version_info, "the same key, not a new one for each call"

    play(signer, story)


async def ended(stream):
    """How a stream ended; it may still have had something to say."""
    with contextlib.suppress(EOFError, grpc.aio.AioRpcError):
        while True:
            await stream.receive()
    return await stream.status()


async def refused(connection, *, delta=False):
    stream = open_stream(connection, delta=delta)
    with contextlib.suppress(EOFError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await stream.ask(SECRET, [DEFAULT])
    return await ended(stream)


STRANGERS = {
    "our own server": (Order.of_server(TRUST_DOMAIN, "xds", (), ("127.0.0.1",)), grpc.StatusCode.PERMISSION_DENIED),
    "a workload": (Order("leaf", SpiffeId(TRUST_DOMAIN, "/web"), "web", 1000), grpc.StatusCode.PERMISSION_DENIED),
}


@BOTH
@pytest.mark.parametrize(("order", "code"), STRANGERS.values(), ids=STRANGERS)
def test_only_nodes_may_ask(signer, order, code, delta):
    async def story(scene):
        holder = await guest_issue(scene, order)
        async with scene.connection(Pair(holder.chain_pem(), holder.key_pem(), 0)) as connection:
            found, message = await refused(connection, delta=delta)
            assert found == code
            assert "secrets are for nodes" in message

    play(signer, story)


async def guest_issue(scene, order):
    """Issue from a coroutine of the host loop: the fake signer's waits are trio's, so its parts are done by hand."""
    from ca.svid.holder import LeafKey  # noqa: PLC0415 (one use)
    from ca.svid.issuing import accept  # noqa: PLC0415 (one use)

    key = LeafKey()
    signed = scene.world.client._result(order.verb, order.fields(key.csr_der()))
    return accept(order, key, signed, scene.world.trust.bundle, scene.world.clocks.now())


def test_a_certificate_of_another_authority_is_refused_in_the_handshake(signer):
    async def story(scene):
        stranger = Authority(TRUST_DOMAIN)
        async with scene.connection(stranger.node("web")) as connection:
            found, _ = await refused(connection)
            assert found == grpc.StatusCode.UNAVAILABLE
        async with Connection(scene.address, scene.world.trust.bundle.pem, None) as connection:
            found, _ = await refused(connection)
            assert found == grpc.StatusCode.UNAVAILABLE
        assert not scene.host.streams

    play(signer, story)


def test_an_issuing_certificate_authenticates_nobody(signer):
    """Identity 27: it passes the handshake, for it is of our root; what it says of itself does not."""
    authority = Authority(TRUST_DOMAIN)

    async def main():
        scene = Scene(signer)
        server = authority.server("ca")
        credentials = ServerCredentials(server.cert_pem, server.key_pem, authority.ca_pem)
        scene.address = await scene.server.start("127.0.0.1:0", credentials)
        try:
            return await guest.call(ask(scene.address))
        finally:
            await scene.server.drain(5)

    async def ask(address):
        pair = authority.leaf(f"spiffe://{TRUST_DOMAIN}", ca=True)
        async with Connection(address, authority.ca_pem, pair) as connection:
            return await refused(connection)

    found, message = guest.run(main)
    assert found == grpc.StatusCode.UNAUTHENTICATED
    assert "trust domain" in message


@BOTH
def test_a_request_without_a_node_or_of_another_type_ends_that_stream_only(signer, delta):
    async def story(scene):
        async with scene.connection("web") as connection:
            good = open_stream(connection, delta=delta)
            await good.ask(SECRET, [ROOTCA])
            await good.receive()
            bad = open_stream(connection, delta=delta, node="")
            await bad.ask(SECRET, [DEFAULT])
            assert (await ended(bad))[0] == grpc.StatusCode.INVALID_ARGUMENT
            bad = open_stream(connection, delta=delta)
            await bad.ask("type.googleapis.com/envoy.config.cluster.v3.Cluster", ["x"])
            assert (await ended(bad))[0] == grpc.StatusCode.INVALID_ARGUMENT
            assert len(scene.host.streams) == 1

    play(signer, story)


@BOTH
def test_after_a_rejection_the_last_good_one_comes_once_and_its_text_is_nowhere(signer, delta, caplog):
    caplog.set_level(logging.DEBUG)
    poison = "Secret{private_key:{inline_bytes:LEAKED}}"

    async def story(scene):
        async with scene.connection("web") as connection:
            stream = open_stream(connection, delta=delta)
            await stream.ask(SECRET, [DEFAULT])
            first = await stream.receive()
            await (stream.ack(first) if delta else stream.ack(first, [DEFAULT]))
            scene.world.rotator.force(next(iter(scene.world.rotator.slots)))
            second = await stream.receive()
            await (stream.nack(second, poison) if delta else stream.nack(second, poison, [DEFAULT]))
            third = await stream.receive()
            assert secret_of(third) == secret_of(first) != secret_of(second)
            await (stream.ack(third) if delta else stream.ack(third, [DEFAULT]))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.receive(), 0.2)
            assert scene.host.rejected_count == 1
            shown = repr(scene.fleet.node("web").last_rejection(DEFAULT))
            assert "LEAKED" not in shown
            assert "DEFAULT" not in shown

    play(signer, story)
    assert "rejected by the client" in caplog.text
    assert "LEAKED" not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_two_hundred_streams_on_one_connection(signer):
    """An Envoy opens one stream for each secret name."""

    async def story(scene):
        async with scene.connection("web") as connection:
            streams = [connection.delta(DELTA) for _ in range(200)]
            for stream in streams:
                await stream.ask(SECRET, [DEFAULT])
            versions = {(await stream.receive()).resources[0].version for stream in streams}
            assert len(versions) == 1
            assert len(scene.host.streams) == 200
            scene.world.rotator.force(next(iter(scene.world.rotator.slots)))
            for stream in streams:
                await stream.send(type_url=SECRET)
            assert len(scene.fleet.nodes) == 1

    play(signer, story)


def test_drained_every_stream_is_told_unavailable(signer):
    statuses = []

    async def main():
        scene = Scene(signer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.world.rotator.run)
            await scene.start()
            opened = trio.Event()

            async def client():
                async with scene.connection("web") as connection:
                    stream = connection.delta(DELTA)
                    await stream.ask(SECRET, [ROOTCA])
                    await stream.receive()
                    opened.set()
                    statuses.append(await ended(stream))

            nursery.start_soon(guest.call, client())
            with trio.fail_after(BOUND_S):
                await opened.wait()
                await scene.server.drain(5)
                await until(lambda: statuses)
            nursery.cancel_scope.cancel()

    guest.run(main)
    assert statuses[0][0] == grpc.StatusCode.UNAVAILABLE
    assert "draining" in statuses[0][1]
