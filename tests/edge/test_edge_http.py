from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from xds.edge.health import admin_app
from xds.edge.http import serve_http
from xds.errors import ConfigError, LocalError


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def broken(request: Request) -> Response:
    raise ZeroDivisionError("inside")


async def big(request: Request) -> Response:
    return PlainTextResponse("x" * 50_000_000)


APP = Starlette(routes=[Route("/", hello), Route("/broken", broken), Route("/big", big)])


def serve(client, **where):
    """Serve the app, run the client with the address, and stop."""

    async def main():
        async with trio.open_nursery() as nursery:

            async def run(task_status=trio.TASK_STATUS_IGNORED) -> None:
                await serve_http(APP, **where, task_status=task_status)

            address = await nursery.start(run)
            with trio.fail_after(30):
                result = await client(address)
            await trio.testing.wait_all_tasks_blocked()  # what a handler raised after its answer is logged now
            nursery.cancel_scope.cancel()
        return result

    return trio.run(main)


def unwrapped(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def nothing(address: str) -> str:
    return address


def test_an_app_is_served_on_tcp(capfd) -> None:
    async def client(address: str):
        async with httpx.AsyncClient() as http:
            response = await http.get(f"http://{address}/")
        assert "server" not in response.headers
        return response.status_code, response.text

    assert serve(client, tcp="127.0.0.1:0") == (200, "hello")
    assert capfd.readouterr() == ("", "")


def test_an_app_is_served_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"

    async def client(address: str):
        assert address == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        transport = httpx.AsyncHTTPTransport(uds=address)
        async with httpx.AsyncClient(transport=transport) as http:
            return (await http.get("http://admin/")).text

    assert serve(client, unix=path) == "hello"
    assert not path.exists()


def test_another_user_is_not_served(tmp_path: Path, monkeypatch, caplog) -> None:
    path = tmp_path / "admin.sock"

    async def client(address: str):
        monkeypatch.setattr("xds.edge.http._uid_of", lambda stream: 12345)
        transport = httpx.AsyncHTTPTransport(uds=address)
        async with httpx.AsyncClient(transport=transport) as http:
            with pytest.raises(httpx.TransportError):
                await http.get("http://admin/")

    serve(client, unix=path)
    assert "user 12345" in caplog.text


def test_the_kernel_says_who_connects(tmp_path: Path, monkeypatch) -> None:
    seen = []
    from xds.edge import http as module  # noqa: PLC0415

    original = module._uid_of

    def spy(stream) -> int:
        seen.append(original(stream))
        return seen[-1]

    monkeypatch.setattr(module, "_uid_of", spy)

    async def client(address: str):
        transport = httpx.AsyncHTTPTransport(uds=address)
        async with httpx.AsyncClient(transport=transport) as http:
            await http.get("http://admin/")

    serve(client, unix=tmp_path / "admin.sock")
    assert seen == [os.getuid()]


def test_a_failing_handler_goes_to_our_log(caplog, capfd) -> None:
    async def client(address: str):
        async with httpx.AsyncClient() as http:
            return (await http.get(f"http://{address}/broken")).status_code

    assert serve(client, tcp="127.0.0.1:0") == 500
    assert "inside" in caplog.text
    assert capfd.readouterr().out == ""


def test_a_port_in_use_is_our_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BaseExceptionGroup) as caught:
            serve(nothing, tcp=listen)
        error = unwrapped(caught.value)
        assert isinstance(error, LocalError)
        assert str(error) == f"cannot listen on {listen}: address already in use"


@pytest.mark.parametrize("tcp", ["here", "127.0.0.1"])
def test_a_bad_address_is_the_operators_mistake(tcp: str) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        serve(nothing, tcp=tcp)
    assert isinstance(unwrapped(caught.value), ConfigError)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert serve(nothing, unix=path) == str(path)


@pytest.mark.parametrize("living", [True, False])
def test_a_socket_in_use_or_another_file_is_left_alone(tmp_path: Path, living) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as other:
        if living:
            other.bind(str(path))
            other.listen()
        else:
            path.write_text("precious")
        with pytest.raises(BaseExceptionGroup) as caught:
            serve(nothing, unix=path)
        assert isinstance(unwrapped(caught.value), LocalError)
        assert str(path) in str(unwrapped(caught.value))
        assert path.exists()


def test_a_path_that_is_too_long_or_has_no_directory_is_our_error(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 120), tmp_path / "missing" / "admin.sock"):
        with pytest.raises(BaseExceptionGroup) as caught:
            serve(nothing, unix=path)
        assert isinstance(unwrapped(caught.value), LocalError)


def test_too_many_connections_are_closed(monkeypatch, caplog) -> None:
    monkeypatch.setattr("xds.edge.http.CONNECTIONS_MAX", 2)

    async def client(address: str):
        host, _, port = address.rpartition(":")
        streams = [await trio.open_tcp_stream(host, int(port)) for _ in range(3)]
        data = await streams[2].receive_some()
        for stream in streams:
            await stream.aclose()
        return data

    assert serve(client, tcp="127.0.0.1:0") == b""
    assert "HTTP connections" in caplog.text


def test_a_client_that_does_not_read_does_not_hold_the_end_up() -> None:
    with socket.socket() as deaf:

        async def client(address: str) -> bytes:
            host, _, port = address.rpartition(":")
            await trio.to_thread.run_sync(deaf.connect, (host, int(port)))
            deaf.sendall(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
            return await trio.to_thread.run_sync(deaf.recv, 10)

        assert serve(client, tcp="127.0.0.1:0").startswith(b"HTTP/1.1")


def test_a_client_that_is_gone_is_not_counted(monkeypatch, caplog) -> None:
    """A poller that connects anew each time is one client at a time, however fast it polls."""
    monkeypatch.setattr("xds.edge.http.CONNECTIONS_MAX", 2)

    async def poll(address: str) -> bytes:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            got = await stream.receive_some()
            await stream.send_eof()
            while rest := await stream.receive_some():
                got += rest
        return got

    async def client(address: str) -> list[bytes]:
        return [await poll(address) for _ in range(6)]

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in serve(client, tcp="127.0.0.1:0"))
    assert "HTTP connections" not in caplog.text


def test_a_connection_without_a_request_is_soon_closed(monkeypatch) -> None:
    monkeypatch.setattr("xds.edge.http.KEEP_ALIVE_S", 0.01)

    async def client(address: str) -> bytes:
        host, _, port = address.rpartition(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            return bytes(await stream.receive_some())

    assert serve(client, tcp="127.0.0.1:0") == b""


def test_a_document_may_hold_what_utf_8_cannot_write() -> None:
    """The name of a file, for instance, that somebody put among the entries."""
    app = admin_app(lambda: None, {"/v1/status": lambda: {"error": "\udcff.yaml é"}})

    async def client(address: str) -> bytes:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
            return (await http.get("http://admin/v1/status")).content

    assert trio.run(client, "") == rb'{"error":"\udcff.yaml \u00e9"}'
