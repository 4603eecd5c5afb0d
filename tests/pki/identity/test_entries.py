from __future__ import annotations

import pytest

from ca.errors import ConfigError
from ca.identity.entries import check_unique, entries_of, parse_entries

WEB = {"node": "web", "spiffe_id": "spiffe://example.org/web", "ttl": "20s"}


def parse(data, **options):
    return parse_entries(data, trust_domain="example.org", **options)


def test_an_entry_gives_one_node_one_svid():
    (entry,) = parse([{**WEB, "dns_names": ["web.internal"]}], file="web.yaml", lines=[3])
    assert (entry.node, str(entry.spiffe_id), entry.ttl_s) == ("web", "spiffe://example.org/web", 20)
    assert (entry.dns_names, entry.where) == (("web.internal",), "web.yaml:3")


def test_59_without_an_entry_a_node_has_nothing():
    entries = parse([WEB])
    assert entries_of(entries, "web") == entries
    assert entries_of(entries, "web2") == ()
    assert entries_of((), "web") == ()
    assert parse(None) == ()
    assert parse([]) == ()


def test_the_order_of_the_file_is_kept_because_the_first_is_the_default():
    second = {**WEB, "spiffe_id": "spiffe://example.org/other"}
    assert [str(entry.spiffe_id) for entry in entries_of(parse([second, WEB]), "web")] == [
        "spiffe://example.org/other",
        "spiffe://example.org/web",
    ]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**WEB, "spiffe_id": "spiffe://example.org/cp/xds"}, "reserved"),
        ({**WEB, "spiffe_id": "spiffe://other.org/web"}, "trust domain"),
        ({**WEB, "spiffe_id": "spiffe://example.org"}, "no path"),
        ({**WEB, "spiffe_id": "spiffe://example.org/web/"}, "path segment"),
        ({**WEB, "spiffe_id": None}, "spiffe_id: expected text"),
        ({**WEB, "node": "a/b"}, "node name"),
        ({**WEB, "node": 5}, "node: expected text, found a number"),
        ({"spiffe_id": "spiffe://example.org/web"}, "node: expected text, found nothing"),
        ({**WEB, "spiffeid": "x"}, "unknown field 'spiffeid' (known: node"),
        ({**WEB, "ttl": "soon"}, "ttl: 'soon' is no duration"),
        ({**WEB, "ttl": "1s"}, "ttl: 1s is too short"),
        ({**WEB, "ttl": "30h"}, "ttl: 108000s is too long"),
        ({**WEB, "dns_names": "web"}, "dns_names: expected a list"),
        ({**WEB, "dns_names": ["*.web"]}, "DNS name"),
        ({**WEB, "dns_names": ["a", "a"]}, "each once"),
        ("web", "expected an entry"),
    ],
)
def test_a_wrong_entry_is_refused_and_named(entry, words):
    with pytest.raises(ConfigError) as refused:
        parse([WEB, entry], file="entries/web.yaml", lines=[1, 4], ttl_max_s=28 * 3600)
    assert words in str(refused.value)
    assert "entries/web.yaml:4" in str(refused.value)


def test_every_wrong_entry_of_a_file_is_named_at_once():
    with pytest.raises(ConfigError) as refused:
        parse([{**WEB, "node": ""}, WEB, {**WEB, "ttl": "x"}], file="a.yaml")
    assert "a.yaml: entry 1" in str(refused.value)
    assert "a.yaml: entry 3" in str(refused.value)


@pytest.mark.parametrize("data", ["text", 5, {"node": "web"}, {"entries": "x"}])
def test_a_file_that_is_no_list_is_refused(data):
    with pytest.raises(ConfigError, match="expected a list of entries"):
        parse(data)


def test_the_same_svid_twice_for_one_node_is_refused_across_files():
    one, two = parse([WEB], file="a.yaml", lines=[1]), parse([WEB], file="b.yaml", lines=[1])
    with pytest.raises(ConfigError, match=r"b.yaml:1: .* already from a.yaml:1"):
        check_unique([*one, *two])
