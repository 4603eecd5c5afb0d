from __future__ import annotations

import pytest

from xds.config import yaml_text
from xds.config.document import Unreadable
from xds.config.yaml_text import YamlDocument


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("No", False),
        ("n", False),
        ("Y", True),
        ("on", True),
        ("OFF", False),
        ("true", True),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("0", 0),
        ("0x10", 16),
        ("010", 8),
        ("08", "08"),
        ("2147483647", 2147483647),
        ("2147483648", "2147483648"),
        ("-2147483648", -2147483648),
        ("-2147483649", "-2147483649"),
        ("99999999999999999999999", "99999999999999999999999"),
        ("1.5", "1.5"),
        ("1e3", "1e3"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("+", "+"),
        ("'5'", "5"),
        ('"yes"', "yes"),
        ("!!str 5", 5),
        ("0X1F", 31),
        ("|\n   5", "5"),
        ("5s", "5s"),
        ("٣", "٣"),
    ],
)
def test_scalars_mean_what_they_mean_to_envoy(text, value):
    found = YamlDocument(f"a: {text}").value["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_are_text():
    assert YamlDocument("{1: a, yes: b, null: c}").value == {"1": "a", "yes": "b", "null": "c"}


def test_anchors_and_the_tag_that_hides_them():
    text = "!ignore base: &base {x: 1}\none: *base\ntwo: *base\n"
    assert YamlDocument(text).value == {"one": {"x": 1}, "two": {"x": 1}}


def test_it_knows_where_everything_stands():
    document = YamlDocument("a:\n- b: 1\n  c:\n    d: [x, y]\n")
    assert document.position(()) == (1, 1)
    assert document.position(("a", 0, "c", "d", 1)) == (4, 12)
    assert document.position(("a", 0, "c"), key=True) == (3, 3)
    assert document.position(("a", 0, "c")) == (4, 5)
    assert document.position(("a", 7)) == (2, 1), "as far as the path can be followed"
    assert document.position(("a", 0, "b", "deeper")) == (2, 6)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("", "is empty", 0, 0),
        ("# only a comment\n", "is empty", 0, 0),
        ("a: [1, 2", "did not find expected ',' or ']'", 2, 1),
        ("a: b: c", "mapping values are not allowed", 1, 5),
        ("a: 'text", "found unexpected end of stream", 1, 9),
        ("\ta: 1", "found character that cannot start any token", 1, 1),
        ("a: *nobody", "found undefined alias", 1, 4),
        ("a: 1\n---\nb: 2", "expected a single document", 2, 1),
        ("a: 1\na: 2", "'a' stands here twice; the first is in line 1", 2, 1),
        ("a:\n  b: 1\n  c: 2\n  'b': 3", "'b' stands here twice; the first is in line 2", 4, 3),
        ("a: !!python/object:os.system x", "tag 'tag:yaml.org,2002:python/object:os.system'", 1, 4),
        ("a: !secret {b: 1}", "tag '!secret'", 1, 4),
        ("a: !secret [1]", "tag '!secret'", 1, 4),
        ("[a, b]: 1", "key that is not text", 1, 1),
        ("a: &a [*a]", "contains itself", 1, 4),
        ("a: " + "[" * 150 + "]" * 150, "nested more than 100 deep", 1, 104),
        ("[" * 100_000, "maximum nesting depth", 1, 1001),
        ("a: \x07", "not YAML", 1, 0),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text, message, line, column):
    with pytest.raises(Unreadable) as caught:
        YamlDocument(text)
    (fault,) = caught.value.faults
    assert message in fault.message
    assert (fault.position.line, fault.position.column) == (line, column)


def test_all_faults_of_a_document_come_at_once():
    with pytest.raises(Unreadable) as caught:
        YamlDocument("a: 1\na: 2\nb: !x 3\n")
    assert [fault.position.line for fault in caught.value.faults] == [2, 3]


def test_aliases_of_aliases_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(yaml_text, "NODES_MAX", 1000)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(Unreadable, match="more than 1000 values once aliases are expanded"):
        YamlDocument("\n".join(lines))


def test_a_syntax_error_does_not_quote_the_text():
    with pytest.raises(Unreadable) as caught:
        YamlDocument("a: 'canary-secret\nb: canary-secret: x\n")
    assert "canary" not in str(caught.value)
