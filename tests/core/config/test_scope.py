from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.config.scope import NodeFacts, Selector, glob_matches, globs_overlap, overlap, parse_selectors
from xds.names import SpiffeId

WEB = NodeFacts(
    SpiffeId.parse("spiffe://td/cp/node/web"), "web-1", "edge", {"zone": "a", "n": 5, "x": 1.5, "up": True, "l": []}
)


def _selectors(value):
    selectors, faults = parse_selectors(value)
    assert faults == []
    return selectors


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({"spiffe_id": "spiffe://td/cp/node/web"}, True),
        ({"spiffe_id": "spiffe://td/cp/node/*"}, True),
        ({"spiffe_id": "spiffe://other/*"}, False),
        ({"node_id": "web-*"}, True),
        ({"node_id": ["api-*", "web-1"]}, True),
        ({"node_id": "web"}, False),
        ({"cluster": "edge", "node_id": "api"}, False),
        ({"cluster": "edge", "node_id": "web-1"}, True),
        ({"metadata": {"zone": "a"}}, True),
        ({"metadata": {"zone": "b"}}, False),
        ({"metadata": {"zone": "*", "n": "5"}}, True),
        ({"metadata": {"n": 5}}, True),
        ({"metadata": {"x": "1.5"}}, True),
        ({"metadata": {"up": "true"}}, True),
        ({"metadata": {"up": True}}, True),
        ({"metadata": {"l": "*"}}, False),
        ({"metadata": {"missing": "*"}}, False),
    ],
)
def test_a_selector_is_all_of_its_conditions(selector, matches):
    (made,) = _selectors(selector)
    assert made.matches(WEB) is matches


def test_without_a_verified_identity_no_pattern_for_one_matches():
    (everyone,) = _selectors({"spiffe_id": "*"})
    assert not everyone.matches(NodeFacts(None, "web-1"))
    assert everyone.matches(NodeFacts("spiffe://td/x"))


GLOBS = st.text(alphabet="ab*", max_size=8)
TEXTS = st.text(alphabet="ab", max_size=8)


def _reference(pattern, text):
    """By definition, one character after the other."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_reference(pattern[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and _reference(pattern[1:], text[1:])


@given(GLOBS, TEXTS)
def test_a_pattern_matches_by_definition(pattern, text):
    assert glob_matches(pattern, text) is _reference(pattern, text)


@given(GLOBS, GLOBS, TEXTS)
def test_patterns_that_share_a_text_overlap(one, two, text):
    assert globs_overlap(one, two) is globs_overlap(two, one)
    if _reference(one, text) and _reference(two, text):
        assert globs_overlap(one, two)


@given(GLOBS, GLOBS)
def test_patterns_that_overlap_share_a_text(one, two):
    if globs_overlap(one, two):
        head = max((p.partition("*")[0] for p in (one, two)), key=len)
        tail = max((p.rpartition("*")[2] for p in (one, two)), key=len)
        inside = "".join((one + two).split("*"))
        witnesses = [one, two, head + one.replace("*", "") + two.replace("*", "") + tail, head + inside + inside + tail]
        assert any(_reference(one, w.replace("*", "")) and _reference(two, w.replace("*", "")) for w in witnesses)


@pytest.mark.parametrize("pattern", ["spiffe://td/web", "spiffe://td/cp/xds", "web"])
def test_an_identity_that_no_node_can_have_is_refused(pattern):
    """A typo here would take a node's configuration away without a word."""
    [(path, problem)] = parse_selectors({"spiffe_id": pattern})[1]
    assert path == ("spiffe_id",)
    assert "fits no node" in problem


@pytest.mark.parametrize("pattern", ["spiffe://td/cp/node/web", "*", "spiffe://*/cp/node/web-*", "*/web"])
def test_patterns_that_some_node_fits_are_taken(pattern):
    assert parse_selectors({"spiffe_id": pattern})[1] == []


def test_a_long_pattern_against_a_long_text_is_quick():
    assert not glob_matches("*a" * 500 + "*b", "a" * 50_000)


def test_selectors_overlap_unless_an_attribute_parts_them():
    web, api = _selectors([{"node_id": "web-*"}, {"node_id": "api-*"}])
    (zone,) = _selectors({"metadata": {"zone": "a"}})
    assert not web.overlaps(api)
    assert web.overlaps(zone)
    assert overlap([web], [api, zone])
    assert not overlap([web], [api])
    assert overlap([], [api])
    assert Selector(()).overlaps(api)
