"""What can be said of the container files without an engine: nothing in them names what is not there."""

from __future__ import annotations

import importlib.util
import io
import re
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import compose
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from image_layers import secrets_in

from legation.cli.program import cli
from legation.settings import load, split_address
from xds.config.files import parse_file
from xds.config.snapshot import Snapshot

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("Dockerfile.*"))
SERVICES = compose.load()["services"]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Pairs of word and rest, with continued lines joined and comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in whole.splitlines() if line)]


def final_stage(dockerfile: Path) -> dict[str, str]:
    """The last of each instruction behind the last FROM."""
    found: dict[str, str] = {}
    for word, rest in instructions(dockerfile):
        found = {} if word == "FROM" else {**found, word: rest}
    return found


def words(rest: str) -> list[str]:
    """An instruction's exec form: after options, a JSON list."""
    return [word.replace('\\"', '"') for word in re.findall(r'"((?:[^"\\]|\\.)*)"', rest)]


def sent(path: str) -> bool:
    """Whether .dockerignore lets a path into the build."""
    first, *rest = (ROOT / ".dockerignore").read_text().splitlines()
    assert first == "*"
    return any(path == line[1:] or path.startswith(f"{line[1:]}/") for line in rest if line.startswith("!"))


def check_command(arguments: list[str]) -> None:
    """Raises `click.UsageError` for a command, an option or a value that `legation` does not take."""
    name, *rest = arguments
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"legation has no command {name}"
    command.make_context(name, rest)


@pytest.fixture
def setup_program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docker_setup", DOCKER / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
class TestDockerfile:
    def test_copies_only_what_is_there_and_sent(self, dockerfile: Path) -> None:
        copied = [
            rest.split()[:-1] for word, rest in instructions(dockerfile) if word == "COPY" and "--from" not in rest
        ]
        paths = {path for paths in copied for path in paths}
        assert paths
        assert [path for path in paths if not (ROOT / path).exists()] == []
        assert [path for path in paths - {"."} if not sent(path)] == []

    def test_installs_only_what_a_lock_names(self, dockerfile: Path) -> None:
        runs = " && ".join(rest for word, rest in instructions(dockerfile) if word == "RUN")
        installs = [command for command in runs.split("&&") if " install " in command and "pip" in command]
        assert installs
        assert [one for one in installs if not re.search(r"--require-hashes|--no-deps --build-constraint", one)] == []
        locks = re.findall(r"requirements/\S+", runs)
        assert [lock for lock in locks if not (ROOT / lock).is_file()] == []

    def test_ends_as_somebody_who_is_not_root_with_a_health_check(self, dockerfile: Path) -> None:
        last = final_stage(dockerfile)
        assert last["USER"] == "10001:10001"
        assert words(last["HEALTHCHECK"])
        assert last["STOPSIGNAL"] == "SIGTERM"

    def test_brings_nothing_of_the_machine_that_builds(self, dockerfile: Path) -> None:
        assert {word for word, _ in instructions(dockerfile)}.isdisjoint({"ADD", "LABEL"})
        assert re.search(r"pip\.conf|index-url|proxy|password|token", dockerfile.read_text(), re.IGNORECASE) is None


def test_the_control_plane_s_image_runs_a_command_that_exists() -> None:
    last = final_stage(DOCKER / "Dockerfile.control-plane")
    program, *arguments = [*words(last["ENTRYPOINT"]), *words(last["CMD"])]
    assert program == "legation"
    check_command(arguments)


def test_the_control_plane_s_health_check_asks_the_ports_of_its_settings() -> None:
    settings = load(DOCKER / "legation.yaml", DOCKER)
    ports = {split_address(address)[1] for address in (settings.http_xds, settings.http_ca) if address is not None}
    program, option, code = words(final_stage(DOCKER / "Dockerfile.control-plane")["HEALTHCHECK"])
    assert (program, option) == ("python", "-c")
    compile(code, "HEALTHCHECK", "exec")
    assert {int(port) for port in re.findall(r"\b\d{5}\b", code)} == ports
    assert "/readyz" in code


def test_envoy_s_image_runs_its_script(setup_program: ModuleType) -> None:
    script = DOCKER / "envoy.sh"
    last = final_stage(DOCKER / "Dockerfile.envoy")
    assert words(last["ENTRYPOINT"]) == ["envoy.sh"]
    assert words(last["HEALTHCHECK"]) == ["envoy.sh", "ready"]
    assert script.stat().st_mode & 0o111 == 0o111
    subprocess.run(["bash", "-n", script], check=True)
    assert setup_program.ADMIN_PORT in re.findall(r"/dev/tcp/127\.0\.0\.1/(\d+)", script.read_text())


def test_compose_names_only_what_is_there() -> None:
    document = compose.load()
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    assert {service["image"] for service in SERVICES.values()} == built
    for service in SERVICES.values():
        sources = [one.split(":")[0] for one in service.get("volumes", [])]
        assert [one for one in sources if one.startswith(".") and not (DOCKER / one).exists()] == []
        assert {one for one in sources if not one.startswith(".")} <= set(document["volumes"])
        assert set(service.get("networks", [])) <= set(document["networks"])
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        if "build" in service:
            assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert len(compose.in_order(SERVICES)) == len(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_no_more_than_it_must(name: str) -> None:
    service = SERVICES[name]
    compose.run_words(service)  # knows every key
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service
    assert [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] == []
    assert service["pull_policy"] == ("build" if "build" in service else "never")


@pytest.mark.parametrize("node", ["web", "api"])
def test_an_envoy_sees_its_own_key_and_nobody_else_s(node: str) -> None:
    assert SERVICES[node]["volumes"] == [f"{node}:/var/lib/legation/nodes/{node}:ro"]


def test_the_addresses_of_compose_are_those_of_the_settings(setup_program: ModuleType) -> None:
    assert "control-plane" in SERVICES
    assert load(DOCKER / "legation.yaml", DOCKER).server_names == ("control-plane",)
    assert SERVICES["api"]["networks"]["mesh"]["ipv4_address"] == setup_program.API


@pytest.fixture
def arranged(
    setup_program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, list[list[str]]]]:
    """`setup.py` run into a directory, without a control plane: the directory, and the commands that it gave."""
    given: list[list[str]] = []

    def run(command: tuple[str, ...], **_: object) -> subprocess.CompletedProcess[str]:
        given.append(list(command))
        return subprocess.CompletedProcess(command, 0, stdout="{}")

    for directory in ("resources", "nodes/web", "nodes/api"):
        (tmp_path / directory).mkdir(parents=True)
    monkeypatch.setattr(setup_program, "RESOURCES", tmp_path / "resources")
    monkeypatch.setattr(setup_program, "NODES_DIR", tmp_path / "nodes")
    monkeypatch.setattr(setup_program.subprocess, "run", run)
    setup_program.main()
    return tmp_path, given


def test_setup_gives_only_commands_that_exist(arranged: tuple[Path, list[list[str]]]) -> None:
    directory, given = arranged
    assert [command[1] for command in given] == ["enroll", "bootstrap"] * 2
    for program, *arguments in given:
        assert program == "legation"
        check_command(arguments)
    assert sorted(path.name for path in (directory / "nodes").glob("*/*")) == ["bootstrap.json"] * 2


def test_setup_writes_resources_that_fit_together(
    arranged: tuple[Path, list[list[str]]], setup_program: ModuleType
) -> None:
    resources = arranged[0] / "resources"
    texts = {path.name: path.read_text() for path in resources.iterdir()}
    assert set(texts) == {"web.yaml", "web_route.py", "api.yaml", "stranger.yaml"}
    Snapshot.build([parse_file(name, text) for name, text in texts.items() if name in {"api.yaml", "stranger.yaml"}])
    assert f"address: {setup_program.API}, port_value: 10100" in texts["web.yaml"]
    listening = {name: re.findall(r"0\.0\.0\.0, port_value: (\d+)", text) for name, text in texts.items()}
    assert listening == {"web.yaml": ["10000"], "api.yaml": ["10100"], "stranger.yaml": ["10101"], "web_route.py": []}


def test_setup_says_so_when_the_demo_s_files_have_changed(setup_program: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"api\.yaml .* 0 times"):
        setup_program.adapt("api.yaml", "resources: []")


def test_the_page_s_commands_name_what_is_there() -> None:
    page = (DOCKER / "README.md").read_text()
    named = re.findall(r"\bdocker/[\w.-]+", page) + [
        f"docker/{name}" for name in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE)
    ]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
    for line in page.splitlines():
        if " exec control-plane " in line:
            check_command(shlex.split(line, comments=True)[7:])


def archive_of(files: dict[str, bytes]) -> tarfile.TarFile:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return tarfile.open(fileobj=io.BytesIO(buffer.getvalue()))


def test_the_search_for_secrets_finds_them() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {"opt/x.bin": b"\0" + pem, "etc/pip.conf": b"[global]", "var/lib/legation/a": b"a", "etc/netrc": b""}
    with archive_of(files) as archive:
        assert [found.split(":")[0] for found in secrets_in(archive)] == list(files)[:3]
