"""Who gets which secret, and when it is taken away (identity 59-61, 65, 73, 98-100, 103)."""

from __future__ import annotations

import pytest
import trio
from cryptography import x509
from fakes.ca_authority import TRUST_DOMAIN
from fakes.ca_signer import World, run, until, workload
from fakes.sds_session import SecretClient

from ca.identity.entries import Entry
from ca.identity.spiffe import SpiffeId
from ca.server.fleet import Fleet
from ca.server.status import certificate_json, denied_json, withdrawn_json
from ca.svid.node import WITHDRAWN_MAX, Refused
from ca.svid.secrets import DEFAULT, ROOTCA
from xds.names import SECRET


def entry(node="web", path="/web", ttl_s=100, dns=()):
    return Entry(node, SpiffeId(TRUST_DOMAIN, path), ttl_s, tuple(dns))


def spiffe(path):
    return f"spiffe://{TRUST_DOMAIN}{path}"


def identity(secret) -> str:
    leaf = x509.load_pem_x509_certificate(secret.tls_certificate.certificate_chain.inline_bytes)
    (uri,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.UniformResourceIdentifier
    )
    return uri


class Scene:
    """A fleet with its rotator, on a real authority."""

    def __init__(self, signer) -> None:
        self.world = World(signer)
        self.woken: list = []
        self.fleet = Fleet(self.world.rotator, self.woken.extend)
        self.world.trust.on_change = lambda: self.fleet.trust(self.world.trust.bundle)
        self.fleet.trust(self.world.trust.bundle)

    def connect(self, node, *names, **options):
        """A stream as the edge opens it."""
        opened = self.fleet.node(node)
        client = SecretClient(opened.view, *names, doubts=opened.doubts, **options)
        self.fleet.arrived(opened)
        return client

    def disconnect(self, node, client):
        found = self.fleet.node(node)
        found.remember(client.session)
        self.fleet.left(found)
        client.close()


def play(signer, story) -> None:
    async def main():
        scene = Scene(signer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.world.rotator.run)
            await story(scene)
            nursery.cancel_scope.cancel()

    run(main)


BOTH = pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])


@BOTH
def test_a_node_gets_its_own_svid_the_bundle_and_nothing_else(signer, delta):
    async def story(scene):
        scene.fleet.grant([entry(), entry("api", "/api")])
        own = scene.connect("web", DEFAULT, delta=delta)
        bundle = scene.connect("web", ROOTCA, delta=delta)
        other = scene.connect("web", spiffe("/api"), delta=delta)
        nonsense = scene.connect("web", "no-such-name", delta=delta)
        await trio.sleep(0.1)
        assert identity(own.take_and_ack()) == spiffe("/web")
        assert bundle.take_and_ack().WhichOneof("type") == "validation_context"
        assert other.take() is None
        assert nonsense.take() is None
        assert scene.fleet.node("web").take_denied() == ["no-such-name", spiffe("/api")]
        assert scene.fleet.node("web").take_denied() == [], "each is told once"

    play(signer, story)


@BOTH
def test_a_bad_name_beside_good_ones_on_one_stream_holds_up_nobody(signer, delta):
    async def story(scene):
        scene.fleet.grant([entry()])
        client = scene.connect("web", "bad", DEFAULT, spiffe("/api"), ROOTCA, delta=delta)
        await trio.sleep(0.1)
        assert {client.take_and_ack().name, client.take_and_ack().name} == {DEFAULT, ROOTCA}
        assert client.take() is None

    play(signer, story)


def test_without_an_entry_there_is_no_svid_until_one_comes(signer):
    """Default deny; a held name is answered when it exists."""

    async def story(scene):
        client = scene.connect("web", DEFAULT)
        await trio.sleep(1)
        assert client.take() is None
        assert scene.world.client.asked == []
        scene.fleet.grant([entry()])
        await trio.sleep(0.1)
        assert client.session in scene.woken
        assert identity(client.take_and_ack()) == spiffe("/web")

    play(signer, story)


def test_default_is_the_first_entry_and_each_is_there_by_its_id(signer):
    async def story(scene):
        scene.fleet.grant([entry(), entry(path="/admin")])
        client = scene.connect("web", DEFAULT, spiffe("/web"), spiffe("/admin"))
        await trio.sleep(0.1)
        got = {secret.name: identity(secret) for secret in (client.take_and_ack() for _ in range(3))}
        assert got == {DEFAULT: spiffe("/web"), spiffe("/web"): spiffe("/web"), spiffe("/admin"): spiffe("/admin")}
        assert len(scene.world.client.asked) == 2, "one key for an entry, under both of its names"

    play(signer, story)


@BOTH
def test_a_rotation_reaches_every_stream_that_has_the_name_and_no_other(signer, delta):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=20)])
        client = scene.connect("web", DEFAULT, delta=delta)
        bundle = scene.connect("web", ROOTCA, delta=delta)
        await trio.sleep(0.1)
        serials = set()
        bundle.take_and_ack()
        for _ in range(5):
            leaf = x509.load_pem_x509_certificate(client.take_and_ack().tls_certificate.certificate_chain.inline_bytes)
            serials.add(leaf.serial_number)
            scene.woken.clear()
            await until(lambda: client.session in scene.woken, every_s=1)
            assert bundle.session not in scene.woken
        assert len(serials) == 5
        assert bundle.take() is None

    play(signer, story)


def test_an_entry_that_is_taken_away_pushes_nothing_and_renews_nothing(signer):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=20), entry(path="/admin", ttl_s=20)])
        client = scene.connect("web", DEFAULT, spiffe("/admin"))
        await trio.sleep(0.1)
        assert {client.take_and_ack().name, client.take_and_ack().name} == {DEFAULT, spiffe("/admin")}
        scene.fleet.grant([entry(ttl_s=20)])
        assert client.take() is None
        asked = len(scene.world.client.asked)
        await trio.sleep(30)
        assert len(scene.world.client.asked) > asked
        assert all(fields["spiffe_id"] == spiffe("/web") for _, _, fields in scene.world.client.asked[asked:])
        late = scene.connect("web", spiffe("/admin"))
        assert late.take() is None
        scene.fleet.grant([])
        assert scene.connect("web", DEFAULT).take() is None

    play(signer, story)


def test_an_answer_that_comes_after_the_entry_went_goes_nowhere(signer):
    """Identity 65: looked at again before each push."""

    async def story(scene):
        scene.world.client.delay_s = 1
        scene.fleet.grant([entry()])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.5)
        scene.fleet.grant([])
        await trio.sleep(2)
        assert client.take() is None
        node = scene.fleet.node("web")
        holder = await scene.world.issuer.issue(workload())
        assert node.deliver(SpiffeId(TRUST_DOMAIN, "/web"), holder) == []
        assert client.take() is None

    play(signer, story)


def test_default_changes_hands_when_the_new_one_is_there(signer):
    async def story(scene):
        scene.fleet.grant([entry()])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        assert identity(client.take_and_ack()) == spiffe("/web")
        scene.world.client.away = True
        scene.fleet.grant([entry(path="/new"), entry()])
        await trio.sleep(1)
        assert identity(scene.connect("web", DEFAULT).take()) == spiffe("/web"), "still granted, so still served"
        scene.world.client.away = False
        await trio.sleep(2)
        assert identity(client.take_and_ack()) == spiffe("/new")

    play(signer, story)


def test_default_that_is_no_longer_granted_is_not_served_while_the_new_one_is_made(signer):
    async def story(scene):
        scene.fleet.grant([entry()])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        client.take_and_ack()
        scene.world.client.away = True
        scene.fleet.grant([entry(path="/new")])
        await trio.sleep(1)
        assert scene.connect("web", DEFAULT).take() is None

    play(signer, story)


def test_keys_are_kept_across_reconnects_and_a_restart_of_envoy_makes_no_new_ones(signer):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=1000)])
        for _ in range(20):
            client = scene.connect("web", DEFAULT)
            await trio.sleep(1)
            client.take_and_ack()
            scene.disconnect("web", client)
            await trio.sleep(1)
        assert len(scene.world.client.asked) == 1

    play(signer, story)


@BOTH
def test_a_reconnecting_client_that_has_it_is_sent_nothing_in_delta(signer, delta):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=1000)])
        client = scene.connect("web", DEFAULT, delta=delta)
        await trio.sleep(0.1)
        client.take_and_ack()
        scene.disconnect("web", client)
        again = scene.connect("web", DEFAULT, delta=delta, **({"held": client.versions} if delta else {}))
        assert (again.take() is None) == delta

    play(signer, story)


def test_while_the_signer_is_away_a_newcomer_gets_the_old_one(signer):
    """Identity 73."""

    async def story(scene):
        scene.fleet.grant([entry(ttl_s=100)])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        first = client.take_and_ack()
        scene.world.client.away = True
        await trio.sleep(95)
        assert client.take() is None
        assert scene.connect("web", DEFAULT).take() == first
        await trio.sleep(10)
        assert scene.connect("web", DEFAULT).take() is None, "it has ended: nobody would accept it"
        scene.world.client.away = False
        await trio.sleep(20)
        later = client.take_and_ack()
        assert later is not None
        assert later != first

    play(signer, story)


def test_of_a_node_that_left_nothing_is_renewed_and_in_the_end_nothing_is_left(signer):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=100)])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        scene.disconnect("web", client)
        await trio.sleep(99)
        scene.fleet.forget_idle()
        assert len(scene.world.client.asked) == 1
        assert "web" in scene.fleet.nodes
        await trio.sleep(5)
        scene.fleet.forget_idle()
        assert scene.fleet.nodes == {}
        assert scene.world.rotator.slots == {}

    play(signer, story)


def test_a_node_that_comes_back_late_gets_the_old_one_at_once_and_a_new_one_right_after(signer):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=100)])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        first = client.take_and_ack()
        scene.disconnect("web", client)
        await trio.sleep(90)
        again = scene.connect("web", DEFAULT)
        assert again.take_and_ack() == first
        await trio.sleep(0.1)
        assert again.take_and_ack() != first

    play(signer, story)


def test_a_changed_entry_is_issued_anew(signer):
    async def story(scene):
        scene.fleet.grant([entry()])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(10)
        client.take_and_ack()
        scene.fleet.grant([entry(dns=["web.example"])])
        await trio.sleep(0.1)
        leaf = x509.load_pem_x509_certificate(client.take_and_ack().tls_certificate.certificate_chain.inline_bytes)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["web.example"]
        scene.fleet.grant([entry(dns=["web.example"])])
        await trio.sleep(1)
        assert client.take() is None

    play(signer, story)


@BOTH
def test_after_a_rejection_the_last_good_one_comes_once_more_and_then_nothing(signer, delta):
    """Facts A2: Envoy holds the rejected bytes until something else comes."""

    async def story(scene):
        scene.fleet.grant([entry(ttl_s=20)])
        client = scene.connect("web", DEFAULT, delta=delta)
        await trio.sleep(0.1)
        good = client.take_and_ack()
        second = await until(client.take, every_s=1)
        client.nack("Secret { private_key: SECRET }")
        node = scene.fleet.node("web")
        for rejection in client.session.take_rejections():
            assert "SECRET" not in rejection.message
            node.rejected(Refused(rejection.names, rejection.code, rejection.message))
        assert client.take() == good != second
        assert node.last_rejection(DEFAULT) is not None
        client.ack()
        assert client.take() is None
        third = await until(client.take, every_s=1)
        assert third != second
        client.ack()
        assert node.last_rejection(DEFAULT) is None

    play(signer, story)


def test_a_rejection_is_remembered_across_reconnects(signer):
    """Identity 102: what the client reports is what it held before the bad one, so it is sent again."""

    async def story(scene):
        scene.fleet.grant([entry(ttl_s=1000)])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        client.take_and_ack()
        version = dict(client.versions)
        key = next(iter(scene.world.rotator.slots))
        scene.world.rotator.force(key)
        await trio.sleep(0.1)
        client.take()
        client.nack()
        scene.disconnect("web", client)
        current = scene.fleet.node("web").view.get(SECRET, DEFAULT).version
        again = scene.connect("web", DEFAULT, held={DEFAULT: current})
        assert again.take_and_ack() is not None, "it says that it holds the current one, and is not believed"
        scene.disconnect("web", again)
        once_more = scene.connect("web", DEFAULT, held={DEFAULT: current})
        assert once_more.take() is None, "it was accepted since"
        assert version != {DEFAULT: current}

    play(signer, story)


def test_a_new_bundle_reaches_every_node_also_one_without_entries(signer):
    async def story(scene):
        clients = [scene.connect(f"n{number}", ROOTCA) for number in range(3)]
        for client in clients:
            client.take_and_ack()
        newer = scene.world.client._result("state", {}).bundle
        newer.sequence += 1
        scene.world.trust.learn(newer)
        assert all(client.take() is None for client in clients), "equal roots are no news"

    play(signer, story)


def test_acknowledgements_are_known_by_serial_also_after_the_stream(signer):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=1000)])
        client = scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        node = scene.fleet.node("web")
        client.take()
        assert node.acked(DEFAULT) is None
        client.ack()
        holder = node.holders[SpiffeId(TRUST_DOMAIN, "/web")]
        assert node.acked(DEFAULT) == holder.fingerprint
        assert node.serial_of(node.acked(DEFAULT)) == holder.serial
        scene.disconnect("web", client)
        assert node.acked(DEFAULT) == holder.fingerprint

    play(signer, story)


def test_of_two_clients_the_one_that_is_behind_counts(signer):
    async def story(scene):
        scene.fleet.grant([entry(ttl_s=1000)])
        quick, slow = scene.connect("web", DEFAULT), scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        quick.take_and_ack()
        slow.take_and_ack()
        scene.world.rotator.force(next(iter(scene.world.rotator.slots)))
        await trio.sleep(0.1)
        quick.take_and_ack()
        slow.take()
        node = scene.fleet.node("web")
        assert node.acked(DEFAULT) == slow.session.acked_version(SECRET, DEFAULT)
        slow.ack()
        assert node.acked(DEFAULT) == node.holders[SpiffeId(TRUST_DOMAIN, "/web")].fingerprint

    play(signer, story)


def test_a_client_that_asks_for_thousands_of_names_is_remembered_a_little(signer):
    async def story(scene):
        scene.connect("web", *(f"name-{number}" for number in range(5000)))
        node = scene.fleet.node("web")
        assert len(node.take_denied()) == 64
        assert node.take_denied() == []

    play(signer, story)


def test_a_withdrawn_certificate_is_known_until_it_ends(signer):
    """Its Envoy goes on to use it: whoever took the entry away has to see that, and for how long."""

    async def story(scene):
        scene.fleet.grant([entry(ttl_s=100), entry(path="/other", ttl_s=100)])
        client = scene.connect("web", DEFAULT, spiffe("/other"))
        await trio.sleep(0.1)
        client.take_and_ack()
        client.take_and_ack()
        node = scene.fleet.node("web")
        holder = node.holders[SpiffeId(TRUST_DOMAIN, "/web")]
        slot = scene.fleet.slot(node, holder.spiffe_id)
        scene.fleet.grant([])
        withdrawn = {gone.name: gone for gone in node.withdrawn}
        assert withdrawn.keys() == {DEFAULT, spiffe("/other")}
        row = withdrawn_json(node, withdrawn[DEFAULT])
        assert (row["serial"], row["acked"], row["withdrawn"]) == (holder.serial, True, True)
        assert row.keys() == certificate_json(node, DEFAULT, slot).keys() | {"node", "name", "spiffe_id"}
        scene.disconnect("web", client)
        await trio.sleep(50)
        scene.fleet.forget_idle()
        assert "web" in scene.fleet.nodes
        await trio.sleep(60)
        scene.fleet.forget_idle()
        assert "web" not in scene.fleet.nodes

    play(signer, story)


def test_what_is_granted_again_is_not_withdrawn(signer):
    async def story(scene):
        scene.fleet.grant([entry()])
        scene.connect("web", DEFAULT)
        await trio.sleep(0.1)
        node = scene.fleet.node("web")
        scene.fleet.grant([])
        assert len(node.withdrawn) == 1
        scene.fleet.grant([entry()])
        await trio.sleep(0.1)
        assert len(node.withdrawn) == 0
        assert len(node.holders) == 1

    play(signer, story)


def test_a_flapping_file_is_remembered_a_little(signer):
    async def story(scene):
        scene.connect("web", DEFAULT)
        for number in range(0, 80, 8):
            scene.fleet.grant([entry(path=f"/{each}") for each in range(number, number + 8)])
            await trio.sleep(0.1)
        scene.fleet.grant([])
        assert len(scene.fleet.node("web").withdrawn) == WITHDRAWN_MAX

    play(signer, story)


def test_a_misspelt_name_is_told_beside_what_there_is(signer):
    async def story(scene):
        scene.fleet.grant([entry()])
        client = scene.connect("web", "defualt", ROOTCA)
        scene.connect("web", DEFAULT)
        scene.connect("api", DEFAULT)
        assert denied_json(scene.fleet.node("web")) == {
            "node": "web",
            "names": ["defualt"],
            "granted": [ROOTCA, DEFAULT, spiffe("/web")],
        }
        assert denied_json(scene.fleet.node("api")) == {"node": "api", "names": [DEFAULT], "granted": [ROOTCA]}
        scene.disconnect("web", client)
        assert denied_json(scene.fleet.node("web")) is None

    play(signer, story)


def test_fifty_thousand_entries_of_one_node_are_sorted_at_once(signer):
    async def story(scene):
        scene.fleet.grant([entry(path=f"/{number}") for number in range(50_000)])
        assert len(scene.fleet.node("web").entries) == 50_000

    play(signer, story)
