"""The command lines of the processes."""

from __future__ import annotations

from pathlib import Path

from ca.__main__ import arguments, settings_of
from legation.programs import ca
from legation.settings import parse


def test_ca_holds_entries_against_what_the_signer_allows():
    settings = parse("ca: {leaf_ttl: 20s, node_ttl: 1m, intermediate_ttl: 7m}", source="", base=Path("/srv"))
    argv = ca(settings).argv
    options = arguments().parse_args([*argv[argv.index("ca") + 1 : -2]])
    assert settings_of(options).ttl_max_s == 70
