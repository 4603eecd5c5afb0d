"""The certificates of our own servers: in use at once, renewed, written for xds as one set."""

from __future__ import annotations

import pytest
import trio
from cryptography import x509
from fakes.ca_signer import World, run

from ca.errors import LocalError
from ca.server.own import CA, XDS, OwnCertificates, split_names
from ca.svid.directory import make_private


def play(signer, tmp_path, story):
    async def main():
        world = World(signer)
        make_private(tmp_path / "xds")
        own = OwnCertificates(world.rotator, world.trust, tmp_path / "xds")
        world.trust.on_change = own.renewed_trust
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.rotator.run)
            await story(world, own)
            nursery.cancel_scope.cancel()

    run(main)


def current(tmp_path):
    files = {path.name: path.read_bytes() for path in (tmp_path / "xds" / "current").iterdir()}
    return x509.load_pem_x509_certificate(files["cert.pem"]), files


def test_both_are_there_with_all_their_names(signer, tmp_path):
    async def story(world, own):
        credentials, holder = await own.obtain(("cp.example", "10.0.0.1"), 5)
        assert "redacted" in repr(credentials)
        assert str(holder.spiffe_id) == "spiffe://example.org/cp/ca"
        leaf, files = current(tmp_path)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org/cp/xds"]
        assert names.get_values_for_type(x509.DNSName) == ["localhost", "cp.example"]
        assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "10.0.0.1"]
        assert sorted(files) == ["ca.pem", "cert.pem", "key.pem"]
        assert files["ca.pem"] == world.trust.bundle.pem

    play(signer, tmp_path, story)


def test_both_are_renewed_and_the_files_change_as_one(signer, tmp_path):
    async def story(world, own):
        await own.obtain((), 5)
        first, _ = current(tmp_path)
        before = {key: holder.serial for key, holder in own.holders.items()}
        await trio.sleep(0.76 * own.holders[CA].life.length_s)
        second, _ = current(tmp_path)
        assert first.serial_number != second.serial_number
        assert f"{second.serial_number:x}" == own.holders[XDS].serial
        assert all(own.holders[key].serial != before[key] for key in (CA, XDS))

    play(signer, tmp_path, story)


def test_files_that_cannot_be_written_are_tried_again_and_told(signer, tmp_path):
    async def story(world, own):
        await own.obtain((), 5)
        kept = (tmp_path / "xds" / "current").readlink()
        (tmp_path / "xds" / "current").unlink()
        (tmp_path / "xds" / "current").mkdir()
        world.rotator.force(XDS)
        await trio.sleep(0.1)
        assert "not made by us" in own.error
        (tmp_path / "xds" / "current").rmdir()
        own.retry()
        assert own.error is None
        leaf, _ = current(tmp_path)
        assert f"{leaf.serial_number:x}" == own.holders[XDS].serial
        assert kept != (tmp_path / "xds" / "current").readlink()

    play(signer, tmp_path, story)


def test_without_a_signer_the_wait_ends_with_the_reason(signer, tmp_path):
    async def story(world, own):
        world.client.away = True
        with pytest.raises(LocalError, match="nobody is there"):
            await own.obtain((), 5)

    play(signer, tmp_path, story)


def test_other_roots_are_put_to_use_without_a_new_certificate(signer, tmp_path):
    async def story(world, own):
        await own.obtain((), 5)
        used = []
        own._credentials.update = lambda *files: used.append(files)
        newer = world.client._result("state", {}).bundle
        newer.sequence += 1
        world.trust.learn(newer)
        assert len(used) == 1
        assert len(world.client.asked) == 2

    # A rotating credential object takes no attribute, so a stand-in records its updates.
    class Recorder:
        def __init__(self, *files):
            pass

        def update(self, *files):
            pass

    import ca.server.own as module  # noqa: PLC0415 (patched for this test)

    real = module.ServerCredentials
    module.ServerCredentials = Recorder
    try:
        play(signer, tmp_path, story)
    finally:
        module.ServerCredentials = real


def test_names_are_told_apart():
    assert split_names(("a.example", "::1", "127.0.0.1", "a.example")) == (("a.example",), ("::1", "127.0.0.1"))
