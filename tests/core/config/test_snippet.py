from __future__ import annotations

import pytest

from xds import resources
from xds.resources import snippet


def test_it_prints_yaml(capsys):
    assert snippet.main(["secret", "ROOTCA"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("name: ROOTCA\nsds_config:\n")
    assert "cluster_name: legation_sds" in printed


def test_it_says_what_it_can_print(capsys):
    with pytest.raises(SystemExit):
        snippet.main(["key"])
    assert "secret" in capsys.readouterr().err


def test_the_public_names_are_all_there_is():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        resources.nothing  # noqa: B018
