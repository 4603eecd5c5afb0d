"""The pages' commands work, in the order in which they stand there; and every page that is linked exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ca.identity.entries import parse_entries
from xds.config.files import parse_file

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RUN = ["docs/start.md", "docs/operate.md", "docs/backup.md"]


CURL = """
command -v curl > /dev/null || curl() {
  python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[-1]).read().decode(), end="")' "$@"
}
"""
"""The pages may use curl; a machine need not have it to run this test."""


def script(page: str) -> str:
    stop = "set -euo pipefail\ntrap 'code=$?; kill $(jobs -p) 2> /dev/null || true; wait || true; exit $code' EXIT\n"
    return stop + CURL + "\n".join(blocks(page, "sh"))


@pytest.mark.envoy
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run(page: str, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    with (tmp_path / ".output").open("w+") as output:
        words = [sys.executable, str(ROOT / "tests" / "fakes" / "netns.py"), "bash", "-c", script(page)]
        done = subprocess.Popen(words, cwd=tmp_path, env=env, stdout=output, stderr=output)
        try:
            code = done.wait(120)
        except subprocess.TimeoutExpired:
            done.terminate()
            code = done.wait(30)
        output.seek(0)
        assert code == 0, output.read()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(2))
def test_an_example_of_a_resource_file_is_read(number: int) -> None:
    text = blocks("docs/resources.md", "yaml")[number]
    assert parse_file("example.yaml", text).path == "example.yaml"


def test_the_example_of_a_python_file_makes_its_resources(tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text(blocks("docs/resources.md", "python")[0])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "xds.resources.evaluate", str(path)], capture_output=True, check=True
    )
    assert b"shard-2" in done.stdout


def test_the_example_of_entries_is_read() -> None:
    data = yaml.safe_load(blocks("docs/entries.md", "yaml")[0])
    entries = parse_entries(data, trust_domain="example.org")
    assert [(entry.node, entry.ttl_s) for entry in entries] == [("web-1", 0), ("web-2", 1800)]


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "protos" / "README.md"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []
