"""The pages' commands work, in the order in which they stand there; and every page that is linked exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RUN = ["docs/start.md", "docs/operate.md", "docs/backup.md"]


def script(page: str) -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    stop = "set -euo pipefail\ntrap 'code=$?; kill $(jobs -p) 2> /dev/null || true; wait || true; exit $code' EXIT\n"
    return stop + "\n".join(blocks)


@pytest.mark.envoy
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    with (tmp_path / ".output").open("w+") as output:
        done = subprocess.Popen(["bash", "-c", script(page)], cwd=tmp_path, env=env, stdout=output, stderr=output)
        try:
            code = done.wait(120)
        except subprocess.TimeoutExpired:
            done.terminate()
            code = done.wait(30)
        output.seek(0)
        assert code == 0, output.read()


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "protos" / "README.md"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []
