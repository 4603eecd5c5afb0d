"""What people see: output, messages and exit codes. Nothing here starts a control plane."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import Distribution, version
from pathlib import Path

import pytest

import legation
from legation.cli.program import COMMANDS, run
from legation.environment import UnsuitableEnvironmentError, check_environment, refuse_shadowing_distributions
from legation.prepare import is_running, locked, prepare, read_state, write_state
from legation.settings import load
from xds.errors import LocalError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_the_version_says_what_decides_how_we_talk_to_envoy(capsys):
    code, out, _ = call(capsys, "--version")
    assert code == 0
    lines = dict(line.rsplit(" ", 1) for line in out.splitlines())
    assert lines["legation"] == legation.__version__
    assert lines["Envoy API xds-protos"]
    assert lines["grpcio"] == version("grpcio")
    assert lines["protobuf"] == version("protobuf")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys, command):
    code, out, _ = call(capsys, command, "--help")
    assert code == 0
    assert f"Usage: legation {command}" in out


@pytest.mark.parametrize("arguments", [[], ["snippet"]])
def test_summaries_fit_on_80_columns(capsys, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = call(capsys, *arguments, "--help")
    assert "..." not in out.partition("Commands:")[2]
    assert max(len(line) for line in out.splitlines()) <= 80


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["bootstrap"], "Missing option '--node'"),
        (["bootstrap", "--node", "a/b"], "--node is no node name"),
        (["bootstrap", "--node", "a", "--xds-address", "nowhere"], "--xds-address: 'nowhere' is no address"),
        (["bootstrap", "--node", "a", "--config", "no.yaml"], "no.yaml: no such file"),
        (["demo", "--seconds", "39"], "39 is too short: certificates live 20 s"),
        (["up", "--config", "no.yaml"], "no.yaml: no such file"),
    ],
)
def test_usage_and_configuration_errors_exit_with_2(capsys, here, arguments, says):
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_a_mistake_in_the_file_is_shown_with_its_line(capsys, here):
    (here / "legation.yaml").write_text("trust_domian: x\n")
    code, _, err = call(capsys, "up")
    assert code == 2
    assert "legation.yaml:1: unknown key trust_domian; the nearest known is trust_domain" in err
    assert [path.name for path in here.iterdir()] == ["legation.yaml"]


def test_status_of_nothing_says_how_to_start_it(capsys, here):
    code, out, _ = call(capsys, "status")
    assert code == 1
    assert "nothing runs on" in out
    assert "legation up" in out.replace("\n", " ")
    code, out, _ = call(capsys, "status", "-o", "json")
    assert code == 1
    assert json.loads(out)["ok"] is False


def test_enrolment_needs_a_running_signer(capsys, here):
    code, _, err = call(capsys, "enroll", "--node", "web")
    assert code == 1
    assert "Start it first: legation up" in err


def test_a_bootstrap_is_json_with_absolute_paths(capsys, here):
    code, out, err = call(capsys, "bootstrap", "--node", "web")
    assert code == 0
    assert err == (
        f"legation: warning: {here}/legation-data/nodes/web is not there (or this user cannot see it). First: legation "
        "enroll --node web. Where the files lie elsewhere, say so: --node-dir\n"
    )
    assert json.loads(out)["node"] == {"id": "web", "cluster": "web"}
    assert str(here / "legation-data" / "nodes" / "web" / "tls_certificate.json") in out


def test_a_bootstrap_for_another_machine_warns_of_nothing(capsys, here):
    assert call(capsys, "bootstrap", "--node", "web", "--node-dir", "/etc/web")[2] == ""
    (here / "legation-data" / "nodes" / "web").mkdir(parents=True)
    assert call(capsys, "bootstrap", "--node", "web")[2] == ""


def test_every_interface_is_no_address_to_connect_to(capsys, here):
    (here / "legation.yaml").write_text("xds: {listen: 0.0.0.0:18100}\nserver_names: [control.example.com]\n")
    code, _, err = call(capsys, "bootstrap", "--node", "web")
    assert code == 2
    assert "--xds-address control.example.com:18100" in err


@pytest.mark.parametrize("name", ["resources", "entries"])
def test_a_directory_that_the_file_names_must_exist(capsys, here, name):
    (here / "legation.yaml").write_text(f"{name}: missing\n")
    code, _, err = call(capsys, "up")
    assert code == 2
    assert f"{name}: {here}/missing does not exist. Make it" in err


def test_a_file_in_the_place_of_the_data_directory_is_refused(capsys, here):
    (here / "legation-data").write_text("")
    code, _, err = call(capsys, "up")
    assert code == 2
    assert "legation-data is not a directory" in err


def test_directories_are_private_and_defaults_are_made(here):
    settings = load(None, here)
    prepare(settings)
    prepare(settings)
    assert (here / "resources").is_dir()
    assert (here / "entries").is_dir()
    assert [path.stat().st_mode & 0o777 for path in (settings.data_dir, settings.run_dir)] == [0o700, 0o700]


def test_one_control_plane_per_directory(here):
    settings = load(None, here)
    prepare(settings)
    assert not is_running(settings)
    with locked(settings):
        write_state(settings, {"pid": 42})
        assert is_running(settings)
        assert read_state(settings) == {"pid": 42}
        with pytest.raises(LocalError, match=r"another `legation up` \(pid 42\) already runs"), locked(settings):
            pass
    assert not is_running(settings)


class Installed(Distribution):
    """A distribution of that name."""

    def __init__(self, name: str) -> None:
        self.text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.85.0\n"

    def read_text(self, filename):
        return self.text if filename == "METADATA" else None

    def locate_file(self, path):
        return Path(path)


@pytest.mark.parametrize("name", ["xds-protos", "xds_protos", "XDS-Protos"])
def test_xds_protos_beside_us_is_refused_with_the_cure(name):
    with pytest.raises(UnsuitableEnvironmentError, match="pip uninstall -y xds-protos"):
        refuse_shadowing_distributions(lambda: [Installed("h11"), Installed(name)])


def test_other_systems_are_refused_in_one_sentence():
    with pytest.raises(UnsuitableEnvironmentError, match=r"^Legation runs on Linux only; this is darwin\.$"):
        check_environment("darwin")


def test_the_check_comes_before_anything_else_is_imported():
    script = (
        "import sys, legation.environment as e\n"
        "def refuse(): raise e.UnsuitableEnvironmentError('not here')\n"
        "e.check_environment = refuse\n"
        "from legation.cli import main\n"
        "try: main()\n"
        "finally: sys.stderr.write(str(sorted({'xds', 'ca', 'trio', 'click', 'yaml'} & set(sys.modules))))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "legation: not here\n[]")


def test_help_loads_neither_trio_nor_rich_nor_httpx_nor_other_rooms():
    script = (
        "import sys\n"
        "from legation.cli.program import run\n"
        "run(['--version'])\n"
        "print(sorted(m for m in sys.modules if m in {'trio', 'rich', 'httpx', 'yaml', 'grpc', 'ca', 'xds.engine'}))\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
