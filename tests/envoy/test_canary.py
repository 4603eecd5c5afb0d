"""Private key material never crosses a non-SDS API: known keys are looked for in all else that leaves a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from conftest import Mesh
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.canary import Canary
from stack import get

from ca.signer.key import KeyEncryptionKey
from ca.signer.keystore import KeyStore
from xds import names
from xds.api.descriptors import envoy_api

pytestmark = pytest.mark.envoy

STREAM_SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
STREAM_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
SERVICES = {
    "Listener": names.LISTENER,
    "Route": names.ROUTE,
    "Cluster": names.CLUSTER,
    "Endpoint": names.ENDPOINT,
}


class AsNode:
    """A client with a node's own certificate."""

    def __init__(self, running: Mesh, node: str, address: str) -> None:
        folder = running.stack.folder / "data" / "nodes" / node / "current"
        credentials = grpc.ssl_channel_credentials(
            (folder / "ca.pem").read_bytes(), (folder / "key.pem").read_bytes(), (folder / "cert.pem").read_bytes()
        )
        self.channel = grpc.secure_channel(address, credentials)
        self.node = node

    def first_answer(self, method: str, type_url: str, *resource_names: str) -> bytes:
        """The raw first response of a stream in the state-of-the-world variant."""
        request = envoy_api().message("envoy.service.discovery.v3.DiscoveryRequest")(
            node={"id": self.node}, type_url=type_url, resource_names=resource_names
        )
        call = self.channel.stream_stream(method)(iter([request.SerializeToString()]), timeout=30)
        answer = next(iter(call))
        call.cancel()
        return answer

    def close(self) -> None:
        self.channel.close()


def sds_address(running: Mesh) -> str:
    return next(one["listen"] for one in running.stack.status()["processes"] if one["name"] == "ca")


def xds_address(running: Mesh) -> str:
    return next(one["listen"] for one in running.stack.status()["processes"] if one["name"] == "xds")


def secret_of(running: Mesh, node: str) -> bytes:
    client = AsNode(running, node, sds_address(running))
    try:
        return client.first_answer(STREAM_SECRETS, names.SECRET, "default")
    finally:
        client.close()


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


def file_keys(data: Path) -> Iterator[Canary]:
    for path in [*data.glob("nodes/*/current/key.pem"), data / "run" / "xds" / "current" / "key.pem"]:
        yield Canary.of_key(str(path), path.read_bytes())


def allowed(path: Path, data: Path) -> bool:
    """A node's and the listener's own key file (0600), and the key-encryption key's own file."""
    assert path.stat().st_mode & 0o077 == 0 or path.name not in {"key.pem", "kek"}, f"{path} is readable by others"
    return path.name == "key.pem" or path == data / "kek"


def outputs(running: Mesh) -> Iterator[tuple[str, bytes]]:
    stack, data = running.stack, running.stack.folder / "data"
    for node in ("web", "api"):
        client = AsNode(running, node, xds_address(running))
        for service, type_url in SERVICES.items():
            wanted = () if type_url in {names.LISTENER, names.CLUSTER} else ("web", "api", "app")
            method = f"/envoy.service.{service.lower()}.v3.{service}DiscoveryService/Stream{service}s"
            yield f"xDS {service} of {node}", client.first_answer(method, type_url, *wanted)
        client.close()
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
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.is_symlink() and not allowed(path, data):
            yield str(path), path.read_bytes()


def test_no_key_is_in_any_output_but_sds(running: Mesh) -> None:
    data = running.stack.folder / "data"
    secrets = {node: secret_of(running, node) for node in ("web", "api")}
    leafs = [Canary.of_key(f"leaf key of {node}", leaf_key(answer)) for node, answer in secrets.items()]
    canaries = [*leafs, *ca_keys(data), *file_keys(data)]
    assert [leaf.found_in(answer) for leaf, answer in zip(leafs, secrets.values(), strict=True)] == [True, True], (
        "the positive control: SDS is where the search must find them"
    )
    searched = list(outputs(running))
    assert len(canaries) >= 7
    assert len(searched) > 30
    assert all(len(output) > 0 for name, output in searched if "xDS" in name or "/config_dump" in name)
    found = [f"{canary.name} in {name}" for name, output in searched for canary in canaries if canary.found_in(output)]
    assert found == []


@pytest.mark.parametrize("process", ["ca", "signer"])
def test_a_process_with_keys_leaves_no_core(running: Mesh, process: str) -> None:
    limits = Path(f"/proc/{running.stack.pid_of(process)}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_the_secret_type_is_refused_on_the_xds_port(running: Mesh) -> None:
    client = AsNode(running, "web", xds_address(running))
    try:
        with pytest.raises(grpc.RpcError) as refused:
            client.first_answer(STREAM_ADS, names.SECRET, "default")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(grpc.RpcError) as absent:
            client.first_answer(STREAM_SECRETS, names.SECRET, "default")
        assert absent.value.code() is grpc.StatusCode.UNIMPLEMENTED
    finally:
        client.close()
