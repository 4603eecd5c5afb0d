"""An authority per test whose certificates are valid now, as a TLS library sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.ca_authority import Signer, setting, start

from ca import clock


@pytest.fixture
def signer(tmp_path) -> Iterator[Signer]:
    made = start(setting(tmp_path), clock.system)
    yield made
    made.close()
