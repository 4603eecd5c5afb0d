from __future__ import annotations

import re
import socket

import pytest

from xds.edge import binding
from xds.edge.binding import Address
from xds.errors import ConfigError, LocalError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:0", "::1", 0), ("localhost:65535", "localhost", 65535)],
)
def test_an_address_is_read_and_written_alike(text, host, port) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, str(address)) == (host, port, text)


@pytest.mark.parametrize("text", ["", "80", ":80", "host:", "host:65536", "host:-1", "::1:80", "host:8a", "host:٣"])
def test_anything_else_is_the_operators_mistake(text) -> None:
    with pytest.raises(ConfigError, match="address to listen on"):
        Address.parse(text)


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "localhost:1"])
def test_loopback_may_be_plaintext(text) -> None:
    binding.refuse_open_plaintext(Address.parse(text))


@pytest.mark.parametrize("text", ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1"])
def test_nothing_else_may(text) -> None:
    with pytest.raises(ConfigError, match="loopback only"):
        binding.refuse_open_plaintext(Address.parse(text))


def test_a_port_in_use_is_our_error_and_names_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(LocalError, match=re.escape(f"cannot listen on {address}: address already in use")):
            binding.probe(address)


def test_an_address_of_another_machine_is_our_error() -> None:
    with pytest.raises(LocalError, match=re.escape("cannot listen on 192.0.2.1:0")):
        binding.probe(Address("192.0.2.1", 0))
