from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds.config.document import Unreadable
from xds.config.json_text import JsonDocument
from xds.config.yaml_text import YamlDocument

TEXT = '{\n "a": 1,\n "resources": [\n  {"b": {"c": [1, 2]}},\n\n    {"d": true}\n ]\n}\n'


def test_it_reads_json_and_knows_the_line_of_each_resource_at_once():
    document = JsonDocument(TEXT)
    assert document.value == {"a": 1, "resources": [{"b": {"c": [1, 2]}}, {"d": True}]}
    assert document.position(("resources", 0)) == (4, 3)
    assert document.position(("resources", 1)) == (6, 5)


def test_and_of_everything_inside_when_asked():
    document = JsonDocument(TEXT)
    assert document.position(("resources", 0, "b", "c", 1)) == (4, 19)
    assert document.position(("resources", 1, "d"), key=True) == (6, 6)
    assert document.position(("a",)) == (2, 7)


def test_text_that_yaml_cannot_read_is_placed_by_its_resource():
    document = JsonDocument('{"resources": [\n{"name": "\\ud83d\\ude00", "x": 1}]}')
    assert document.value["resources"][0]["name"] == "😀"
    assert document.position(("resources", 0, "x")) == (2, 1)
    assert document.position(("elsewhere",)) == (0, 0)


@pytest.mark.parametrize(
    ("text", "message", "line", "column"),
    [
        ("", "expecting value", 1, 1),
        ("{", "expecting a key in double quotes", 1, 2),
        ("{'a': 1}", "expecting a key in double quotes", 1, 2),
        ('{"a" 1}', "expecting ':'", 1, 6),
        ('{"a": 1,}', "expecting a value between ',' and '}'", 1, 9),
        ('{"a": [1,]}', "expecting a value between ',' and ']'", 1, 10),
        ('{"a": [1 2]}', "expecting ',' or ']'", 1, 10),
        ('{"a": 1 "b": 2}', "expecting ',' or '}'", 1, 9),
        ('{"a": {"b": 1,}}', "", 1, 15),
        ('{"a": 1} x', "expecting the end of the file", 1, 10),
        ('{"a": 1', "expecting ',' or '}'", 1, 8),
        ('{"a": [1', "expecting ',' or ']'", 1, 9),
        ('{"a": "text', "unterminated string", 1, 7),
        ('{"a": NaN}', "NaN is not JSON", 1, 7),
        ('{"a": [-Infinity]}', "-Infinity is not JSON", 1, 8),
        ('{"a": {"x": 1,\n"x": 2}}', "'x' stands here twice; the first is in line 1", 2, 1),
        ('{"a": 1,\n"a": 2}', "'a' stands here twice; the first is in line 1", 2, 1),
        ('{"a": 1, "\\ud83d\\ude00": 1, "a": 2}', "'a' stands twice", 0, 0),
        ("[" * 100_000, "nested too deep", 0, 0),
        ('{"a": ' * 100_000, "nested too deep", 0, 0),
    ],
)
def test_what_is_no_document_is_refused_with_its_place(text, message, line, column):
    with pytest.raises(Unreadable) as caught:
        JsonDocument(text)
    (fault,) = caught.value.faults
    assert message.lower() in fault.message.lower()
    assert (fault.position.line, fault.position.column) == (line, column)


def test_each_character_of_one_long_line_is_counted_once():
    counted = 0

    class Text(str):
        __slots__ = ()

        def count(self, part, start, end):
            nonlocal counted
            counted += end - start
            return super().count(part, start, end)

    text = Text('{"resources": [' + ", ".join("{}" for _ in range(1000)) + "]}")
    document = JsonDocument(text)
    assert document.position(("resources", 999)) == (1, 4012)
    assert counted <= len(text)


def test_the_text_is_read_as_yaml_once(monkeypatch):
    made = []
    monkeypatch.setattr("xds.config.json_text.YamlDocument", _counting(made))
    for text, times in ((TEXT, 1), ('{"resources": [{"a": "\\ud83d\\ude00"}]}', 1)):
        made.clear()
        document = JsonDocument(text)
        for step in ("b", "x"):
            document.position(("resources", 0, step))
        assert len(made) == times


def _counting(made):
    class Counting(YamlDocument):
        def __init__(self, text):
            made.append(text)
            super().__init__(text)

    return Counting


def test_in_a_very_long_text_the_resource_is_placed(monkeypatch):
    monkeypatch.setattr("xds.config.json_text.PLACED_CHARS_MAX", 10)
    assert JsonDocument(TEXT).position(("resources", 1, "d")) == (6, 5)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_it_reads_what_the_standard_library_writes(value, indent, ascii_only):
    assert JsonDocument(json.dumps(value, indent=indent, ensure_ascii=ascii_only)).value == value
