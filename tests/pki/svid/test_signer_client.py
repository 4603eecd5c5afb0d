"""The client of the signer's socket, against the real service and against what is not one."""

from __future__ import annotations

import os
import socket
import struct

import pytest
import trio
from fakes.ca_authority import csr

from ca.errors import LocalError
from ca.signer import listener
from ca.signer.service import Service
from ca.svid.errors import SignerRefusedError, SignerUnavailableError
from ca.svid.signer_client import SignerClient

LENGTH = struct.Struct(">I")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    return tmp_path / "run" / "signer.sock"


def with_service(signer, path, story):
    """Run a story beside the real service. It gets the client and a function that starts the service anew."""

    async def main():
        client = SignerClient(path)
        async with trio.open_nursery() as nursery:
            scopes = []

            async def restart():
                for scope, ended in scopes:
                    scope.cancel()
                    await ended.wait()
                service = Service(signer.verbs, signer.wall, kek_source="test", tick_s=10)
                bound = listener.listen(path)

                async def serve(task_status):
                    ended = trio.Event()
                    with trio.CancelScope() as scope:
                        scopes.append((scope, ended))
                        await service.serve(
                            trio.SocketListener(trio.socket.from_stdlib_socket(bound)), task_status=task_status
                        )
                    ended.set()

                await nursery.start(serve)

            await restart()
            with trio.fail_after(20):
                await story(client, restart)
            await client.close()
            nursery.cancel_scope.cancel()

    trio.run(main, strict_exception_groups=True)


def ask(spiffe_id="spiffe://example.org/web"):
    return {"csr_der": csr(), "spiffe_id": spiffe_id, "node": "web-1"}


def test_it_signs_and_tells_the_state(signer, path):
    async def story(client, _):
        signed = await client.sign("sign_leaf", ask())
        assert len(signed.chain_der) == 2
        state = await client.state()
        assert state.bundle.trust_domain == "example.org"
        assert state.kek_source == "test"

    with_service(signer, path, story)


def test_many_at_once_share_a_few_connections(signer, path):
    async def story(client, _):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(client.sign, "sign_leaf", ask(f"spiffe://example.org/w{number}"))
        assert 1 <= len(client._idle) <= 8

    with_service(signer, path, story)


def test_a_refusal_carries_its_code(signer, path):
    async def story(client, _):
        with pytest.raises(SignerRefusedError) as caught:
            await client.sign("sign_leaf", ask("spiffe://example.org/cp/xds"))
        assert caught.value.code == "reserved_path"
        assert (await client.state()).issued == 0

    with_service(signer, path, story)


def test_a_restarted_signer_is_not_noticed(signer, path):
    """The idle connections are dead; the next request goes over a fresh one with the same request id."""

    async def story(client, restart):
        await client.state()
        await restart()
        await client.sign("sign_leaf", ask())
        assert (await client.state()).issued == 1

    with_service(signer, path, story)


def run(main):
    trio.run(main, strict_exception_groups=True)


def test_no_socket_is_said_and_waited_for_a_bounded_time(path):
    async def main():
        client = SignerClient(path)
        with pytest.raises(SignerUnavailableError, match="no signer socket"):
            await client.state()
        with pytest.raises(SignerUnavailableError, match=r"waited 0\.1 s"):
            await client.wait_there(0.1, every_s=0.01)

    run(main)


def test_it_waits_for_a_signer_that_comes(signer, path):
    async def main():
        client = SignerClient(path)
        service = Service(signer.verbs, signer.wall, kek_source="test", tick_s=10)
        async with trio.open_nursery() as nursery:
            waited = []

            async def wait():
                waited.append(await client.wait_there(20, every_s=0.001))
                nursery.cancel_scope.cancel()

            nursery.start_soon(wait)
            await trio.lowlevel.checkpoint()
            bound = listener.listen(path)
            nursery.start_soon(service.serve, trio.SocketListener(trio.socket.from_stdlib_socket(bound)))
        assert waited
        await client.close()

    run(main)


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o777, 0o640])
def test_a_socket_that_others_may_open_is_refused_at_once(path, mode):
    async def main():
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.fspath(path))
            path.chmod(mode)
            bound.listen()
            with pytest.raises(LocalError, match=f"{mode:04o}") as caught:
                await SignerClient(path).wait_there(20)
            assert not isinstance(caught.value, SignerUnavailableError)

    run(main)


def test_a_file_or_a_symlink_in_its_place_is_refused(path, tmp_path):
    async def main():
        path.write_text("")
        with pytest.raises(LocalError, match="not a socket"):
            await SignerClient(path).state()
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(LocalError, match="not a socket"):
            await SignerClient(path).state()

    run(main)


def test_a_socket_of_another_user_is_refused(path, monkeypatch):
    async def main():
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.fspath(path))
            path.chmod(0o600)
            bound.listen()
            monkeypatch.setattr("ca.svid.signer_client._trusted_uids", lambda: {54321})
            with pytest.raises(LocalError, match="belongs to uid"):
                await SignerClient(path).state()

    run(main)


ANSWERS = {
    "hangs up at once": b"",
    "hangs up within the length": b"\0\0",
    "hangs up within the answer": LENGTH.pack(100) + b"abc",
    "announces too much": LENGTH.pack(2**31),
    "says what is no message": LENGTH.pack(4) + b"\xff\xff\xff\xff",
    "says nothing in a message": LENGTH.pack(0),
    "answers something else": LENGTH.pack(2) + b"\x0a\x00",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_whatever_comes_back_is_an_answer_or_an_error_of_the_signer(path, answer):
    async def main():
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.fspath(path))
            path.chmod(0o600)
            bound.listen()
            bound.setblocking(False)

            async def odd(stream):
                async with stream:
                    await stream.receive_some()
                    await stream.send_all(answer)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    trio.serve_listeners, odd, [trio.SocketListener(trio.socket.from_stdlib_socket(bound))]
                )
                client = SignerClient(path)
                with trio.fail_after(20), pytest.raises(SignerUnavailableError):
                    await client.state()
                await client.close()
                nursery.cancel_scope.cancel()

    run(main)


def test_a_silent_signer_is_given_up(path):
    async def main():
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.fspath(path))
            path.chmod(0o600)
            bound.listen()
            with trio.fail_after(20), pytest.raises(SignerUnavailableError, match=r"within 0\.05 s"):
                await SignerClient(path, answer_s_max=0.05).state()

    run(main)
