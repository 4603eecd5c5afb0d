from __future__ import annotations

from pathlib import Path

import pytest

from legation.reference import NAMES, PAGES, config_page, main
from legation.settings import parse

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_written_pages_are_current(name):
    file = NAMES[name]
    assert (ROOT / file).read_text() == PAGES[file](), f"run: python -m legation.reference {name} > {file}"


def test_the_example_of_the_configuration_is_valid():
    example = config_page().partition("```yaml\n")[2].partition("```")[0]
    assert parse(example, source="example", base=Path("/")).trust_domain == "prod.example.com"


def test_another_page_is_a_usage_error(capsys):
    assert main(["metrics"]) == 2
    assert "usage" in capsys.readouterr().err
