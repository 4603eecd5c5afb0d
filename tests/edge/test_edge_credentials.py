from __future__ import annotations

import pickle

import pytest
from fakes.certs import Authority

from xds.edge.credentials import ServerCredentials
from xds.errors import LocalError

AUTHORITY = Authority()


def test_a_fitting_pair_is_taken() -> None:
    pair = AUTHORITY.server()
    assert ServerCredentials(pair.cert_pem, pair.key_pem, AUTHORITY.ca_pem).grpc is not None


@pytest.mark.parametrize(
    ("cert", "key", "ca", "words"),
    [
        ("a", "b", "ca", "cannot be used together: KEY_VALUES_MISMATCH"),
        ("junk", "a", "ca", "cannot be used together"),
        ("a", "junk", "ca", "cannot be used together"),
        ("a", "a", "junk", "roots of this server cannot be read"),
        ("a", "a", "empty", "roots of this server cannot be read"),
        ("a", "a", "a", "no CA certificate"),
    ],
)
def test_anything_else_is_refused_and_the_old_ones_stay(cert, key, ca, words) -> None:
    a, b = AUTHORITY.server(), AUTHORITY.server()
    certs = {"a": a.cert_pem, "junk": b"junk"}
    keys = {"a": a.key_pem, "b": b.key_pem, "junk": b"junk"}
    cas = {"ca": AUTHORITY.ca_pem, "junk": b"junk", "empty": b"", "a": a.cert_pem}
    credentials = ServerCredentials(a.cert_pem, a.key_pem, AUTHORITY.ca_pem)
    before = credentials._current
    with pytest.raises(LocalError, match=words) as caught:
        credentials.update(certs[cert], keys[key], cas[ca])
    assert credentials._current is before
    assert "PRIVATE" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_they_show_nothing() -> None:
    pair = AUTHORITY.server()
    credentials = ServerCredentials(pair.cert_pem, pair.key_pem, AUTHORITY.ca_pem)
    assert repr(credentials) == "<ServerCredentials: redacted>"
    with pytest.raises(TypeError):
        pickle.dumps(credentials)


def test_a_handshake_is_given_new_credentials_once_and_unchanged_otherwise() -> None:
    pair, other = AUTHORITY.server(), AUTHORITY.server()
    credentials = ServerCredentials(pair.cert_pem, pair.key_pem, AUTHORITY.ca_pem)
    fetch = credentials._fetcher(credentials._current)
    assert fetch() is None
    credentials.update(other.cert_pem, other.key_pem, AUTHORITY.ca_pem)
    assert fetch() is credentials._current
    assert fetch() is None
