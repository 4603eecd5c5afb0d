"""The socket: framing, order, batches, bounds, strangers. Virtual time, a real authority, real Unix sockets."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from fakes.ca_authority import csr
from fakes.ownership import give_away

from ca.errors import ConfigError, LocalError
from ca.signer import listener, service
from ca.signer.service import Service
from xds.engine.wire import message

REQUEST, RESPONSE = "legation.signer.v1.Request", "legation.signer.v1.Response"


def leaf(request_id="r", spiffe_id="spiffe://example.org/web", **fields):
    fields = {"csr_der": csr(), "node": "web-1", **fields}
    return message(REQUEST)(request_id=request_id, sign_leaf={"spiffe_id": spiffe_id, **fields})


def frame(request):
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return struct.pack(">I", len(data)) + data


async def answer(stream):
    header = await exactly(stream, 4)
    response = message(RESPONSE)()
    response.ParseFromString(await exactly(stream, *struct.unpack(">I", header)))
    return response


async def exactly(stream, size):
    data = b""
    while len(data) < size:
        chunk = await stream.receive_some(size - len(data))
        assert chunk, "the connection ended"
        data += chunk
    return data


@asynccontextmanager
async def running(signer, path):
    """The service at that path; drained at the end, which must be quick."""
    made = Service(signer.verbs, signer.wall, kek_source="a file", tick_s=10)
    bound = listener.listen(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.serve, trio.SocketListener(trio.socket.from_stdlib_socket(bound)))
        yield made
        made.drain()


@pytest.fixture
def play(signer, tmp_path):
    """Run a story against a running service, in virtual time."""

    def run(story):
        async def main():
            path = tmp_path / "run/signer.sock"
            async with running(signer, path) as made:
                await story(path, made)

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))

    return run


def test_the_verbs_over_the_socket(play, signer):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(frame(leaf()))
            signed = (await answer(stream)).signed
            assert len(signed.chain_der) == 2
            assert signed.bundle.roots_der[0] == signer.authority.bundle.roots_der[0]
            assert signed.issued_at_s == int(signer.wall().timestamp())
            assert signed.not_after_s == signed.issued_at_s + 3600
            await stream.send_all(
                frame(message(REQUEST)(request_id="n", sign_node={"csr_der": csr(), "server": "xds"}))
            )
            assert (await answer(stream)).signed.serial_hex
            await stream.send_all(frame(message(REQUEST)(request_id="s", state={})))
            state = (await answer(stream)).state
            assert (state.issued, state.kek_source, state.bundle.sequence) == (2, "a file", 1)
            assert [authority.kind for authority in state.authorities] == ["root", "intermediate"]

    play(story)


def test_54_parallel_retries_get_one_serial(play, signer):
    request = leaf()
    serials = set()

    async def one(path):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(frame(request))
            serials.add((await answer(stream)).signed.serial_hex)

    async def story(path, _):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one, path)

    play(story)
    assert len(serials) == 1
    assert signer.verbs.issued == 1


def test_requests_sent_ahead_are_answered_in_order_and_signed_together(play, signer, monkeypatch):
    writes = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (writes.append(1), real(descriptor)))

    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            names = [f"spiffe://example.org/{number}" if number % 5 else "bad" for number in range(200)]
            requests = b"".join(frame(leaf(f"r{n}", name)) for n, name in enumerate(names))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, requests)
                for name in names:
                    response = await answer(stream)
                    if name == "bad":
                        assert response.refusal.code == "spiffe_id"
                    else:
                        assert name.encode() in response.signed.chain_der[0]

    play(story)
    assert len(writes) < 40, "batches share their writes"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\xff\xff\xff garbage", "malformed"),
        (b"", "malformed"),
        (message(REQUEST)(request_id="x").SerializeToString(), "malformed"),
        (leaf(request_id="").SerializeToString(), "request_id"),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_goes_on(play, data, code):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(frame(data))
            assert (await answer(stream)).refusal.code == code
            await stream.send_all(frame(leaf()))
            assert (await answer(stream)).signed.serial_hex

    play(story)


def test_a_message_that_is_too_long_is_refused_unread_and_ends_the_connection(play):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(struct.pack(">I", 1 << 30) + b"x" * 100)
            assert (await answer(stream)).refusal.code == "too_large"
            with pytest.raises((AssertionError, trio.BrokenResourceError)):
                await answer(stream)

    play(story)


def test_a_client_that_sends_half_a_request_holds_nobody_up_and_is_cut_off(play):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as slow, await trio.open_unix_socket(path) as quick:
            await slow.send_all(frame(leaf())[:50])
            await quick.send_all(frame(leaf("q")))
            assert (await answer(quick)).signed.serial_hex
            begin = trio.current_time()
            assert await slow.receive_some(1) == b""
            assert trio.current_time() - begin <= service.FRAME_S_MAX + 1

    play(story)


def test_a_client_that_drips_its_request_is_cut_off_too(play):
    async def drip(stream, data):
        for byte in data:
            try:
                await stream.send_all(bytes([byte]))
            except trio.BrokenResourceError:
                return trio.current_time()
            await trio.sleep(1)
        raise AssertionError("was read to the end")

    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            assert await drip(stream, frame(leaf())) <= service.FRAME_S_MAX + 3

    play(story)


def test_a_client_that_does_not_read_holds_up_only_itself(play, signer):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as slow, await trio.open_unix_socket(path) as quick:
            with trio.move_on_after(1):
                for number in range(5000):
                    await slow.send_all(frame(leaf(f"s{number}")))
            signed = signer.verbs.issued
            assert signed < 2000, "its requests are no longer read"
            await quick.send_all(frame(leaf("q")))
            assert (await answer(quick)).signed.serial_hex
            await trio.sleep(service.FRAME_S_MAX + 1)
            with pytest.raises(trio.BrokenResourceError):
                await slow.send_all(frame(leaf("late")) * 5000)

    play(story)


def test_an_idle_connection_stays(play):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            await trio.sleep(300)
            await stream.send_all(frame(leaf()))
            assert (await answer(stream)).signed.serial_hex

    play(story)


def test_connections_are_bounded_and_the_next_is_told(play, monkeypatch):
    monkeypatch.setattr(service, "CONNECTIONS_MAX", 2)

    async def story(path, _):
        async with await trio.open_unix_socket(path), await trio.open_unix_socket(path) as last:
            await last.send_all(frame(leaf()))
            await answer(last)
            async with await trio.open_unix_socket(path) as extra:
                assert (await answer(extra)).refusal.code == "busy"
        await trio.sleep(1)
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(frame(leaf("again")))
            assert (await answer(stream)).signed.serial_hex

    play(story)


def test_another_user_is_refused(play, monkeypatch):
    monkeypatch.setattr(service, "peer_uid", lambda _: 12345)

    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(frame(leaf()))
            refusal = (await answer(stream)).refusal
            assert refusal.code == "denied"
            assert "12345" in refusal.message

    play(story)


def test_draining_answers_what_was_taken(play):
    async def story(path, made):
        async with await trio.open_unix_socket(path) as stream, await trio.open_unix_socket(path) as idle:
            await stream.send_all(b"".join(frame(leaf(f"r{n}")) for n in range(5)))
            taken = [await answer(stream)]
            made.drain()
            while chunk := await stream.receive_some(4):
                response = message(RESPONSE)()
                response.ParseFromString(await exactly(stream, *struct.unpack(">I", chunk)))
                taken.append(response)
            assert [bool(response.signed.serial_hex) for response in taken] == [True] * 5
            assert await idle.receive_some(1) == b""
        with pytest.raises(OSError, match="refused"):
            await trio.open_unix_socket(path)

    play(story)


def test_80_the_intermediate_is_renewed_by_asking_the_clock(play, signer):
    old = signer.authority.issuer.certificate

    async def story(path, _):
        signer.wall.advance(days=4)
        await trio.sleep(11)
        assert signer.authority.issuer.certificate != old

    play(story)


def test_a_machine_that_slept_through_the_renewal_signs_at_once(play, signer):
    async def story(path, _):
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(frame(leaf("before")))
            await answer(stream)
            signer.wall.advance(days=30)
            await stream.send_all(frame(leaf("after")))
            assert (await answer(stream)).signed.serial_hex

    play(story)


def test_83_a_renewal_that_fails_is_logged_and_tried_again(play, signer, monkeypatch, caplog):
    def full(*_):
        raise LocalError("the disk is full")

    async def story(path, _):
        signer.wall.advance(days=4)
        with monkeypatch.context() as patch:
            patch.setattr(type(signer.authority), "_Authority__replace_intermediate", full)
            await trio.sleep(25)
        assert "cannot be renewed" in caplog.text
        old = signer.authority.issuer.certificate
        await trio.sleep(11)
        assert signer.authority.issuer.certificate != old

    play(story)


def test_the_socket_file_is_private(tmp_path):
    path = tmp_path / "run/signer.sock"
    listener.listen(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_stale_socket_is_replaced(tmp_path):
    path = tmp_path / "run/signer.sock"
    listener.listen(path).close()
    again = listener.listen(path)
    assert listener._answers(path)
    with pytest.raises(LocalError, match="another process listens"):
        listener.listen(path)
    again.close()


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_the_directory_must_be_ours_alone(tmp_path, mode):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    if mode == 0o700:
        listener.listen(tmp_path / "run/s").close()
        return
    with pytest.raises(ConfigError, match="chmod 0700"):
        listener.listen(tmp_path / "run/s")


def test_a_socket_with_loose_permissions_is_refused(tmp_path):
    path = tmp_path / "run/s"
    listener.listen(path).close()
    path.chmod(0o660)
    with pytest.raises(ConfigError, match="opens it to other users"):
        listener.listen(path)
    assert path.exists()


@pytest.mark.parametrize("what", ["file", "directory", "symlink"])
def test_what_is_no_socket_is_left_alone(tmp_path, what):
    directory = tmp_path / "run"
    directory.mkdir(0o700)
    path = directory / "s"
    if what == "file":
        path.write_text("important")
    elif what == "directory":
        path.mkdir()
    else:
        (tmp_path / "target").write_text("important")
        path.symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="is no socket"):
        listener.listen(path)
    assert path.exists()


@pytest.mark.parametrize("what", ["socket", "directory"])
def test_a_socket_of_another_user_is_left_alone(tmp_path, what, monkeypatch):
    path = tmp_path / "run/s"
    listener.listen(path).close()
    theirs = path if what == "socket" else path.parent
    other = give_away(monkeypatch, theirs)
    with pytest.raises(ConfigError, match=f"{theirs} belongs to uid {other}"):
        listener.listen(path)
    assert path.exists()


def test_a_path_that_is_too_long_is_said(tmp_path):
    with pytest.raises(ConfigError, match="107 bytes"):
        listener.listen(tmp_path / ("x" * 120))


def test_the_kernel_says_who_connects():
    one, two = socket.socketpair(socket.AF_UNIX)
    with one, two:
        assert listener.peer_uid(one) == os.geteuid()
