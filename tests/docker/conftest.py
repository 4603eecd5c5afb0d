"""Both images, built once for the tests that need them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import compose
from engine import NEEDED, Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    assert missing == [], f"apt-get install {' '.join(missing)}"
    with Engine() as one:
        one.make_base()
        compose.build_all(one)
        yield one
