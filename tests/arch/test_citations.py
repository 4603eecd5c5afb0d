"""What code and tests cite can be looked up in `docs/reference/rules.md`, and what stands there is cited."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from imports import SRC

ROOT = SRC.parent
PAGE = ROOT / "docs" / "reference" / "rules.md"

NUMBER = r"(?:A?\d{1,3}[a-z]?|1[A-Z])\b"
NUMBERS = rf"{NUMBER}(?:(?:, | and |-| to ){NUMBER})*"
NAMED = re.compile(rf"\b(conformance|identity|facts) ({NUMBERS})", re.IGNORECASE)
BARE = re.compile(rf"\(({NUMBERS})\W*\)")
TEST = re.compile(r"def test_c(\d{3})_")


def prose(path: Path) -> str:
    """Comments and strings of a file, without its line ends."""
    kinds = (tokenize.COMMENT, tokenize.STRING)
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    words = [token.string.lstrip("#") for token in tokens if token.type in kinds]
    return re.sub(r"\s+", " ", " ".join(words))


def numbers(listed: str) -> Iterator[str]:
    for part in re.split(r", | and ", listed):
        first, _, last = re.sub(" to ", "-", part).partition("-")
        yield from map(str, range(int(first), int(last) + 1)) if last else [first]


def cited(path: Path) -> Iterator[tuple[str, str]]:
    """Table and number of each citation. In `xds.engine` a number without a name is one of conformance."""
    text = prose(path)
    for table, listed in NAMED.findall(text):
        yield from ((table.lower(), number) for number in numbers(listed))
    if path.is_relative_to(SRC / "xds" / "engine"):
        for listed in BARE.findall(NAMED.sub("", text)):
            yield from (("conformance", number) for number in numbers(listed))
    for number in TEST.findall(path.read_text()):
        yield "conformance", number.lstrip("0")


def citations() -> dict[tuple[str, str], str]:
    files = [path for folder in ("src", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    return {key: str(path.relative_to(ROOT)) for path in files if path != Path(__file__) for key in cited(path)}


def rows() -> list[tuple[str, str]]:
    found = []
    table = ""
    for line in PAGE.read_text().splitlines():
        if heading := re.match(r"## .*`(\w+) N`", line):
            table = heading[1]
        elif row := re.match(rf"\| ({NUMBER}) \|", line):
            found.append((table, row[1]))
    return found


def test_what_is_cited_can_be_looked_up() -> None:
    assert {key: path for key, path in citations().items() if key not in rows()} == {}


def test_what_can_be_looked_up_is_cited_and_stands_there_once() -> None:
    assert sorted(rows()) == sorted(citations()), "a row that nothing cites is history"


def test_a_citation_is_read_in_each_of_its_forms(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text('"""Kept (identity\n1A, 30 to 32 and 59; facts A3, 22b)."""\n# Identity 7-8: (77)\n')
    assert [number for _, number in cited(sample)] == ["1A", "30", "31", "32", "59", "A3", "22b", "7", "8"]


def test_nothing_cites_a_paper_that_is_not_here() -> None:
    elsewhere = re.compile(r"\b(design|checklist|contract) (section )?\d", re.IGNORECASE)
    texts = {path: prose(path) for path in sorted((ROOT / "src").rglob("*.py"))}
    assert [str(path) for path, text in texts.items() if elsewhere.search(text)] == []
