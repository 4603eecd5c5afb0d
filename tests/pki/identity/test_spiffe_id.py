"""SPIFFE IDs: the lists of identity 30 to 35, against the grammar and against the linter's own."""

from __future__ import annotations

import string

import pytest

from ca.errors import Code, RefusedError
from ca.identity.spiffe import node_id, server_id, workload_id
from ca.signer import lint
from xds.names import InvalidSpiffeId, SpiffeId

TD = "spiffe://trustdomain"

ACCEPTED = [  # identity 33
    TD,
    TD + "/path",
    TD + "/.path",
    TD + "/..path",
    TD + "/...",
    "spiffe://example.org/path/to/service",
    "spiffe://1.2.3.4/service",
    "spiffe://a_b.example/foo",
    TD + "/foo-bar",
    TD + "/foo_bar",
    TD + "/foo.bar",
    TD + "/9eebccd2-12bf-40a6-b262-65fe0487d453",
    "spiffe://example..org",
    "spiffe://.example.org",
    "spiffe://example.org.",
    "spiffe://-example.org",
    "spiffe://example-.org",
    TD + "/Path/CASE",
    "spiffe://k8s-west.example.com/ns/staging/sa/default",
]

REJECTED = [  # identity 34
    "",
    "s",
    "spiffe:/",
    "Spiffe://",
    "SPIFFE://td/x",
    "spiffe://",
    "spiffe:///",
    "spiffe:///path",
    TD + "/",
    TD + "//",
    TD + "//path",
    TD + "/path/",
    TD + "/.",
    TD + "/./path",
    TD + "/path/./other",
    TD + "/path/..",
    TD + "/..",
    TD + "/../path",
    TD + "/path/../other",
    "spiffe://%F0%9F%A4%AF/path",
    TD + "/%F0%9F%A4%AF",
    "spiffe://%62%61%64/path",
    TD + "/%62%61%64",
    "spiffe://trust$domain",
    TD + "/path$",
    "notspiffe://td/x",
    "http://td/x",
    "spiffe://td?query",
    "spiffe://user@td/x",
    "spiffe://user:pass@td/x",
    "spiffe://td:8080/x",
    "spiffe://1.2.3.4:8443/x",
    "spiffe://[::1]/x",
    "spiffe://[2001:db8::1]/x",
    "spiffe://example%2eorg/x",
    TD + "/foo%2Fbar",
    TD + "/%61pi",
    TD + "/x?x=1",
    TD + "/x#frag",
    TD + "/foo;bar",
    TD + "/foo:bar",
    TD + "/foo@bar",
    TD + "/foo bar",
    "spiffe://Example.org/x",
    TD + "\n",
    TD + "/x\n",
    TD + "/x\r",
    TD + "/x\0",
    TD + "/x\t",
    "\ufeff" + TD + "/x",
    TD + "/x\ufeff",
    TD + "\uff0fx",
    TD + "/\uff11",
    TD + "/\u0661",
    TD + "\u0661/x",
    TD + "/\udcff",
]


def _linter_takes(text: str) -> bool:
    return lint._SPIFFE_ID.fullmatch(text.encode("utf-8", "surrogatepass")) is not None


@pytest.mark.parametrize("text", ACCEPTED)
def test_33_canonical_ids_are_accepted_unchanged(text):
    assert str(SpiffeId.parse(text)) == text
    assert _linter_takes(text)


@pytest.mark.parametrize("text", REJECTED, ids=ascii)
def test_34_anything_else_is_refused_and_never_normalised(text):
    with pytest.raises(InvalidSpiffeId):
        SpiffeId.parse(text)
    assert not _linter_takes(text)


@pytest.mark.parametrize("text", [TD + "\n", TD + "/foo\n"], ids=ascii)
def test_30_a_trailing_newline_is_refused(text):
    with pytest.raises(InvalidSpiffeId):
        SpiffeId.parse(text)


def test_31_lengths():
    prefix = TD + "/"
    assert SpiffeId.parse(prefix + "a" * (2048 - len(prefix))).path
    with pytest.raises(InvalidSpiffeId):
        SpiffeId.parse(prefix + "a" * (2049 - len(prefix)))
    assert SpiffeId.parse("spiffe://" + "a" * 255).trust_domain
    with pytest.raises(InvalidSpiffeId):
        SpiffeId.parse("spiffe://" + "a" * 256)


@pytest.mark.parametrize(
    ("prefix", "suffix", "allowed"),
    [
        ("spiffe://trustdomain", "/path", set(string.ascii_lowercase + string.digits + "._-")),
        ("spiffe://trustdomain/path", "", set(string.ascii_letters + string.digits + "._-")),
    ],
    ids=["trust domain", "path"],
)
def test_35_every_byte(prefix, suffix, allowed):
    taken = set()
    for number in range(256):
        text = prefix + chr(number) + suffix
        try:
            SpiffeId.parse(text)
        except InvalidSpiffeId:
            assert not _linter_takes(text) or chr(number) == "/"
        else:
            assert _linter_takes(text)
            taken.add(chr(number))
    assert taken - {"/"} == allowed


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("spiffe://other.org/web", Code.TRUST_DOMAIN),  # 4
        ("spiffe://example.org", Code.SPIFFE_ID),  # 3
        ("spiffe://example.org/cp/xds", Code.RESERVED_PATH),  # 61
        ("spiffe://example.org/cp/node/web", Code.RESERVED_PATH),
        ("spiffe://example.org/cp", Code.RESERVED_PATH),
        ("spiffe://EXAMPLE.org/web", Code.SPIFFE_ID),
    ],
)
def test_3_4_61_what_no_workload_may_be_called(text, code):
    with pytest.raises(RefusedError) as refused:
        workload_id(text, "example.org")
    assert refused.value.code == code


def test_a_path_that_only_begins_like_a_reserved_one_is_free():
    assert workload_id("spiffe://example.org/cpu", "example.org").path == "/cpu"


def test_61_nodes_and_servers_have_the_reserved_paths():
    assert str(node_id("web-1", "example.org")) == "spiffe://example.org/cp/node/web-1"
    assert str(server_id("xds", "example.org")) == "spiffe://example.org/cp/xds"
    for server in ("node", "root", "", "xds/x"):
        with pytest.raises(RefusedError):
            server_id(server, "example.org")
    for node in ("", "a/b", "..", "-x", "a\n", "ä"):
        with pytest.raises(RefusedError):
            node_id(node, "example.org")


def test_38_an_id_from_outside_is_shown_escaped_and_cut():
    with pytest.raises(RefusedError) as refused:
        workload_id("spiffe://example.org/" + "\x1b[" * 900, "example.org")
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/cp/node/web", "web"),
        ("/cp/node/" + "a" * 127, "a" * 127),
        ("/cp/node/" + "a" * 128, None),
        ("/cp/node/.web", None),
        ("/cp/node/-web", None),
        ("/cp/node/a/b", None),
        ("/cp/node/", None),
        ("/cp/node/a\0b", None),
        ("/cp/xds", None),
        ("/web", None),
    ],
)
def test_a_node_is_who_could_have_been_enrolled_under_that_name(path, name):
    """Reading and making an identity follow one grammar."""
    assert SpiffeId("td.test", path).node_name == name
