"""An authority per test: a real one, on a real disk, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.ca_authority import Signer, setting, start


@pytest.fixture
def signer(tmp_path) -> Iterator[Signer]:
    made = start(setting(tmp_path))
    yield made
    made.close()
