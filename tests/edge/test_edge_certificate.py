"""The reader of certificates, against `cryptography` and against noise."""

from __future__ import annotations

import base64
import datetime as dt
from contextlib import suppress
from functools import partial

import pytest
from cryptography import x509
from fakes.certs import Authority
from hypothesis import example, given
from hypothesis import strategies as st

from xds.edge.certificate import MalformedCertificate, read_certificate, read_der

AUTHORITY = Authority("td.test")
NODE = AUTHORITY.node("a").cert_pem


def der_of(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


def agrees(pem: bytes) -> None:
    """Both readers say the same."""
    ours, theirs = read_certificate(pem), x509.load_pem_x509_certificate(pem)
    assert ours.not_before_s == theirs.not_valid_before_utc.timestamp()
    assert ours.not_after_s == theirs.not_valid_after_utc.timestamp()
    assert ours.issuing == theirs.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    try:
        names = theirs.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        assert ours.uris == ()
    else:
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert [uri.decode() for uri in ours.uris] == uris


@pytest.mark.parametrize("ca", [True, False])
@pytest.mark.parametrize(
    "uris",
    [
        ("spiffe://td.test/cp/node/a",),
        ("spiffe://td.test/a", "spiffe://td.test/b"),
        ("spiffe://td.test/" + "a" * 2000,),
        ("spiffe://td.test/cp/node/a\0b",),
        (),
    ],
    ids=["one", "two", "long", "NUL", "none"],
)
def test_it_reads_what_cryptography_reads(uris, ca) -> None:
    agrees(AUTHORITY.leaf(*uris, ca=ca).cert_pem)
    agrees(AUTHORITY.leaf(*uris, ca=ca, dns=["a.test"], ips=["127.0.0.1"]).cert_pem)
    agrees(AUTHORITY.ca_pem)


MOMENTS = st.integers(-631_152_000, 253_402_300_799).map(partial(dt.datetime.fromtimestamp, tz=dt.UTC))
"""1950 to 9999."""


def at(year: int, month: int = 1, day: int = 1, second: int = 0) -> dt.datetime:
    return dt.datetime(year, month, day, second=second, tzinfo=dt.UTC)


@given(MOMENTS, MOMENTS)
@example(at(1950), at(1999, 12, 31, 59))
@example(at(2049, 12, 31, 59), at(2050))
@example(at(2000, 2, 29), at(9999, 12, 31, 59))
def test_both_forms_of_time(one, other) -> None:
    begin, end = sorted((one, other))
    agrees(AUTHORITY.leaf("spiffe://td.test/a", not_before=begin, not_after=end).cert_pem)


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_worse(data) -> None:
    for read in (read_der, read_certificate):
        with pytest.raises(MalformedCertificate):
            read(data)


@given(st.data())
def test_a_damaged_certificate_is_refused_or_read(data) -> None:
    der = bytearray(der_of(NODE))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    with suppress(MalformedCertificate):
        read_der(bytes(der))


def test_a_certificate_that_is_cut_off_is_refused() -> None:
    der = der_of(NODE)
    for length in range(len(der)):
        with pytest.raises(MalformedCertificate):
            read_der(der[:length])
    with pytest.raises(MalformedCertificate):
        read_der(der + b"\0")


def test_an_extension_that_stands_twice_is_refused() -> None:
    """Or two readers could each take another one."""
    der = der_of(NODE)
    constraints, names = bytes.fromhex("0603551d13"), bytes.fromhex("0603551d11")
    assert der.count(constraints) == 1
    with pytest.raises(MalformedCertificate, match="twice"):
        read_der(der.replace(constraints, names))
