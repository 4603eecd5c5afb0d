"""Private key material never crosses a non-SDS API: known keys are looked for in all else that leaves a process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import grpc
import pytest
from conftest import Mesh
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.canary import Canary
from stack import get, pid_of

from ca.signer.key import KeyEncryptionKey
from ca.signer.keystore import KeyStore
from xds import names
from xds.api.descriptors import envoy_api

pytestmark = pytest.mark.envoy

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/{}AggregatedResources"
SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/{}Secrets"
CLUSTERS = "/envoy.service.cluster.v3.ClusterDiscoveryService/{}Clusters"
SERVICES = {
    "Listener": names.LISTENER,
    "Route": names.ROUTE,
    "Cluster": names.CLUSTER,
    "Endpoint": names.ENDPOINT,
}
WILDCARD = {names.LISTENER, names.CLUSTER}
STREAM_S = 20


class AsNode:
    """A client with a node's own certificate."""

    def __init__(self, running: Mesh, node: str, process: str) -> None:
        folder = running.stack.folder / "data" / "nodes" / node / "current"
        credentials = grpc.ssl_channel_credentials(
            (folder / "ca.pem").read_bytes(), (folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes()
        )
        processes = running.stack.status()["processes"]
        address = next(one["listen"] for one in processes if one["name"] == process)
        self.channel = grpc.secure_channel(address, credentials)
        self.node = node

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def sotw(self, type_url: str, *resource_names: str) -> bytes:
        made = envoy_api().message("envoy.service.discovery.v3.DiscoveryRequest")
        return made(node={"id": self.node}, type_url=type_url, resource_names=resource_names).SerializeToString()

    def delta(self, type_url: str, *resource_names: str) -> bytes:
        made = envoy_api().message("envoy.service.discovery.v3.DeltaDiscoveryRequest")
        wanted = resource_names or ("*",)
        request = made(node={"id": self.node}, type_url=type_url, resource_names_subscribe=wanted)
        return request.SerializeToString()

    def answers(self, method: str, *requests: bytes) -> list[bytes]:
        """As many raw responses of a stream as it gets requests."""
        done = threading.Event()

        def speak() -> Iterator[bytes]:
            yield from requests
            done.wait(STREAM_S)

        call = self.channel.stream_stream(method)(speak(), timeout=STREAM_S)
        try:
            return list(itertools.islice(call, len(requests)))
        finally:
            done.set()
            call.cancel()

    def refusal(self, method: str, request: bytes) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as refused:
            self.answers(method, request)
        return refused.value


def secret_of(running: Mesh, node: str) -> bytes:
    with AsNode(running, node, "ca") as client:
        return client.answers(SECRETS.format("Stream"), client.sotw(names.SECRET, "default"))[0]


def leaf_key(response: bytes) -> bytes:
    envelope = envoy_api().message("envoy.service.discovery.v3.DiscoveryResponse").FromString(response)
    secret = envoy_api().message_for(names.SECRET).FromString(envelope.resources[0].value)
    return secret.tls_certificate.private_key.inline_bytes


def ca_keys(data: Path) -> Iterator[Canary]:
    kek_file = (data / "kek").read_bytes()
    yield Canary.of_bytes("key-encryption key", bytes.fromhex(kek_file.decode()))
    store = KeyStore(data / "keystore", KeyEncryptionKey.from_file(kek_file, "kek"))
    state = store.get_state()
    for identifier in (*state.roots, state.active_intermediate):
        authority = store.get(identifier)
        hidden = authority.key._SigningKey__key  # the white box of the test: there is no other way to it
        pem = hidden.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        yield Canary.of_key(f"{authority.kind} key", pem)


def may_hold_a_key(path: Path, data: Path) -> bool:
    """A node's key, the key of xds's listener, the key-encryption key: each in its own place, and nothing else."""
    parts = path.relative_to(data).parts
    return parts == ("kek",) or (
        len(parts) == 4 and parts[-1] == "key.pem" and (parts[0] == "nodes" or parts[:2] == ("run", "xds"))
    )


def files(data: Path) -> list[Path]:
    return [path for path in sorted(data.rglob("*")) if path.is_file() and not path.is_symlink()]


def streams(running: Mesh, node: str) -> Iterator[tuple[str, bytes]]:
    """Everything that xds sends to a node: on aggregated streams and on those of one type, in both protocols."""
    with AsNode(running, node, "xds") as client:
        for variant, verb, ask in (("SotW", "Stream", client.sotw), ("delta", "Delta", client.delta)):
            asked = {
                service: ask(type_url, *(() if type_url in WILDCARD else ("web", "api", "app")))
                for service, type_url in SERVICES.items()
            }
            for number, answer in enumerate(client.answers(ADS.format(verb), *asked.values())):
                yield f"xDS {variant} ADS of {node}, answer {number}", answer
            for service, request in asked.items():
                method = f"/envoy.service.{service.lower()}.v3.{service}DiscoveryService/{verb}{service}s"
                yield f"xDS {variant} {service} of {node}", client.answers(method, request)[0]


def refusals(running: Mesh) -> Iterator[tuple[str, bytes]]:
    """How streams end that ask for what they may not, or in no known words."""
    for process, methods, other_type in (("xds", (ADS, CLUSTERS), names.SECRET), ("ca", (SECRETS,), names.CLUSTER)):
        elsewhere = (SECRETS,) if process == "xds" else (ADS, CLUSTERS)
        with AsNode(running, "web", process) as client:
            for verb, ask in (("Stream", client.sotw), ("Delta", client.delta)):
                cases = [(method, ask(other_type, "default", "web")) for method in (*methods, *elsewhere)]
                cases += [(method, words) for method in methods for words in (b"", b"\xff\xff garbage")]
                for method, request in cases:
                    error = client.refusal(method.format(verb), request)
                    told = (error.code(), error.details(), error.initial_metadata(), error.trailing_metadata(), error)
                    yield f"{process} refuses {method.format(verb)} {request!r}", repr(told).encode()


def outputs(running: Mesh) -> Iterator[tuple[str, bytes]]:
    stack, data = running.stack, running.stack.folder / "data"
    yield from refusals(running)
    for node in ("web", "api"):
        yield from streams(running, node)
        for path in ("/config_dump?include_eds", "/certs", "/stats", "/clusters", "/listeners"):
            yield f"Envoy's {path} of {node}", stack.envoy_admin(node, path).encode()
    for process, port in stack.http.items():
        for path in ("/metrics", "/healthz", "/readyz"):
            yield f"{path} of {process}", get(port, path).body.encode()
    for words in (["status"], ["status", "-o", "json"], ["bootstrap", "--node", "web"]):
        done = stack.cli(*words, check=False)
        yield f"legation {words}", (done.stdout + done.stderr).encode()
    for process in stack.processes:
        yield f"log of {process.name}", process.log_path.read_bytes()
    for path in files(data):
        yield str(path), path.read_bytes()


def test_no_key_is_in_any_output_but_sds(running: Mesh) -> None:
    data = running.stack.folder / "data"
    secrets = {node: secret_of(running, node) for node in ("web", "api")}
    leafs = [Canary.of_key(f"leaf key of {node}", leaf_key(answer)) for node, answer in secrets.items()]
    places = [path for path in files(data) if may_hold_a_key(path, data)]
    own = [Canary.of_key(str(path), path.read_bytes()) for path in places if path.name == "key.pem"]
    canaries = [*leafs, *ca_keys(data), *own]
    assert [leaf.found_in(answer) for leaf, answer in zip(leafs, secrets.values(), strict=True)] == [True, True], (
        "the positive control: SDS is where the search must find them"
    )
    assert [path for path in places if path.stat().st_mode & 0o077] == [], "readable by others"
    searched = list(outputs(running))
    assert len(own) >= 3
    assert len(canaries) >= 8
    assert len([name for name, _ in searched if "xDS" in name]) == 2 * 2 * 2 * len(SERVICES)
    assert len([name for name, _ in searched if " refuses " in name]) == 2 * (7 + 5)
    assert all(len(output) > 0 for name, output in searched if "xDS" in name or "/config_dump" in name)
    found = {(canary.name, name) for name, output in searched for canary in canaries if canary.found_in(output)}
    home = {(canary.name, canary.name) for canary in own} | {("key-encryption key", str(data / "kek"))}
    assert found == home, "each in its own file, and nowhere else"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("kek", True),
        ("nodes/web/gen-1/key.pem", True),
        ("run/xds/gen-1/key.pem", True),
        ("nodes/web/key.pem", False),
        ("nodes/web/gen-1/cert.pem", False),
        ("journal/key.pem", False),
        ("run/ca/gen-1/key.pem", False),
        ("keystore/kek", False),
    ],
)
def test_only_some_files_may_hold_a_key(place: str, expected: bool) -> None:  # noqa: FBT001 (a parameter of pytest)
    assert may_hold_a_key(Path("/data") / place, Path("/data")) is expected


@pytest.mark.parametrize("process", ["ca", "signer", "xds"])
def test_a_process_with_keys_leaves_no_core(running: Mesh, process: str) -> None:
    limits = Path(f"/proc/{pid_of(running.stack.status(), process)}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


@pytest.mark.parametrize("verb", ["Stream", "Delta"])
def test_the_secret_type_is_refused_on_the_xds_port(running: Mesh, verb: str) -> None:
    with AsNode(running, "web", "xds") as client:
        request = (client.sotw if verb == "Stream" else client.delta)(names.SECRET, "default")
        assert client.refusal(ADS.format(verb), request).code() is grpc.StatusCode.PERMISSION_DENIED
        assert client.refusal(SECRETS.format(verb), request).code() is grpc.StatusCode.UNIMPLEMENTED
