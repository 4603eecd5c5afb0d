"""The whole process over real gRPC: what a client gets, what operators are told, how it begins and ends."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import urllib.parse

import grpc
import grpc.aio
import pytest
from fakes.certs import Authority
from fakes.xds_client import Connection, message
from process_support import cluster, endpoints, listener, occupied_port, route, run_to_end, started, write

from xds import names

PREFIX = len(names.PREFIX)
ENDED = (EOFError, grpc.aio.AioRpcError)


@pytest.fixture
def resources(tmp_path):
    directory = tmp_path / "resources"
    directory.mkdir()
    return directory


def mesh(directory, timeout: str = "1s", port: int = 8080) -> None:
    write(directory, "clusters.yaml", cluster("api", timeout, eds=True), endpoints("api", port))
    write(directory, "listeners.yaml", listener("in", "routes"), route("routes", "api"))


def named(response) -> dict[str, object]:
    """The resources of a SotW response by name."""
    found = {}
    for item in response.resources:
        resource = message(item.type_url[PREFIX:]).FromString(item.value)
        found[getattr(resource, "cluster_name", "") or resource.name] = resource
    return found


def node_of(process, name: str = "node"):
    (node,) = [node for node in process.status()["nodes"] if node["node"] == name]
    return {one["type"]: one for one in node["types"]}


async def refusal(stream, type_url: str):
    """How a stream ends that is refused, at once or after its first request."""
    try:
        await stream.ask(type_url, ["default"])
        await stream.receive()
    except ENDED:
        return await stream.status()
    raise AssertionError("it was answered")


async def until(condition):
    """Wait for what an operator would see; the server is at work meanwhile."""
    for _ in range(2000):
        if found := condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


def test_state_of_the_world_from_the_first_request_to_an_update(resources):
    mesh(resources)

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.sotw()
            subscriptions = [
                (names.CLUSTER, []),
                (names.ENDPOINT, ["api"]),
                (names.LISTENER, []),
                (names.ROUTE, ["routes"]),
            ]
            for type_url, wanted in subscriptions:
                await stream.ask(type_url, wanted)
                response = await stream.receive()
                assert response.type_url == type_url
                assert list(named(response)) == (wanted or [{names.CLUSTER: "api", names.LISTENER: "in"}[type_url]])
                await stream.ack(response, wanted)
            write(resources, "clusters.yaml", cluster("api", eds=True), endpoints("api", 9090))
            response = await stream.receive()
            (endpoint,) = named(response)["api"].endpoints[0].lb_endpoints
            assert endpoint.endpoint.address.socket_address.port_value == 9090
            await stream.ack(response, ["api"])
            types = await until(lambda: (found := node_of(process))["EDS"]["acked"] == response.version_info and found)
            assert set(types) == {"CDS", "EDS", "LDS", "RDS"}
            assert all(one["acked"] == one["current"] for one in types.values())
            assert all(one["commit_acked"] == one["commit_current"] for one in types.values())

    with started(resources) as process:
        asyncio.run(client(process))
        assert process.status()["change"] == 2


def test_incremental_from_the_first_request_to_a_removal(resources):
    mesh(resources)

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.delta()
            await stream.ask(names.CLUSTER, ["*"])
            first = await stream.receive()
            assert [one.name for one in first.resources] == ["api"]
            await stream.ack(first)
            await stream.ask(names.ENDPOINT, ["api"])
            await stream.ack(await stream.receive())
            write(resources, "more.yaml", cluster("extra"))
            added = await stream.receive()
            assert [one.name for one in added.resources] == ["extra"]
            assert added.system_version_info != first.system_version_info
            await stream.ack(added)
            (resources / "more.yaml").unlink()
            removed = await stream.receive()
            assert list(removed.removed_resources) == ["extra"]
            assert removed.system_version_info == first.system_version_info

    with started(resources) as process:
        asyncio.run(client(process))


def test_a_rejection_is_in_the_status_with_the_place_of_the_resource(resources):
    mesh(resources)

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            good = await stream.receive()
            await stream.ack(good)
            write(resources, "clusters.yaml", endpoints("api", 1), cluster("api", "2s", eds=True))
            bad = await stream.receive()
            await stream.nack(bad, "Error adding/updating cluster(s) api: no", version=good.version_info)
            types = await until(lambda: (found := node_of(process))["CDS"]["rejection"] and found)
            rejection = types["CDS"]["rejection"]
            assert rejection["names"] == ["api"]
            assert rejection["message"] == "Error adding/updating cluster(s) api: no"
            assert rejection["source"] == "clusters.yaml:3"
            assert types["CDS"]["acked"] == good.version_info != types["CDS"]["current"]
            (kept,) = process.status()["rejections"]
            assert (kept["node"], kept["type"], kept["message"]) == ("node", "CDS", rejection["message"])
            assert 'legation_xds_rejections_total{type="CDS"} 1.0' in process.get("/metrics").text
            assert 'legation_xds_subscriptions_rejecting{type="CDS"} 1.0' in process.get("/metrics").text
            line = process.stderr.wait_for(" rejected ")
            assert "node=node" in line
            assert "file=clusters.yaml:3" in line

    with started(resources) as process:
        asyncio.run(client(process))


def test_files_with_selectors_go_to_the_nodes_that_they_name(resources):
    write(resources, "all.yaml", cluster("common"))
    write(resources, "web.yaml", cluster("mine"), nodes='{node_id: "web-*"}')

    async def got(connection, node: str) -> set[str]:
        stream = connection.sotw(node=node)
        await stream.ask(names.CLUSTER)
        return set(named(await stream.receive()))

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            assert await got(connection, "web-1") == {"common", "mine"}
            assert await got(connection, "api-1") == {"common"}

    with started(resources) as process:
        asyncio.run(client(process))


def test_a_bad_file_keeps_what_is_live_and_is_told_everywhere(resources):
    mesh(resources)

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            (resources / "clusters.yaml").write_text("resources:\n- nonsense\n")
            error = await until(lambda: process.status()["source"]["error"])
            assert "clusters.yaml:2" in error
            assert "legation_xds_source_errors 1.0" in process.get("/metrics").text
            assert process.get("/readyz").status_code == 200
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            response = await stream.receive()
            assert set(named(response)) == {"api"}
            await stream.ack(response)
            mesh(resources, timeout="3s")
            assert named(await stream.receive())["api"].connect_timeout.seconds == 3
            assert process.status()["source"]["error"] is None

    with started(resources) as process:
        start = len(process.stderr.seen)
        asyncio.run(client(process))
        assert "line=2" in process.stderr.wait_for("resources refused", start)


def test_without_a_good_state_nobody_is_served_and_the_reason_is_told(resources):
    (resources / "a.yaml").write_text("resources: {}\n")

    async def refused(address: str) -> None:
        async with Connection(address) as connection:
            stream = connection.sotw()
            code, details = await refusal(stream, names.CLUSTER)
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "not ready" in details
            assert "a.yaml" not in details, "what is in our files is none of a client's business"

    with occupied_port() as address:
        pass  # free again, and known to us before the process is ready
    with started(resources, plaintext=address, wait=False) as process:
        process.stderr.wait_for("waiting")
        asyncio.run(refused(address))
        status = process.status()
        assert status["ready"] is False
        assert "a.yaml:1" in status["reason"]
        write(resources, "a.yaml", cluster("a"))
        process.stderr.wait_for(" ready ")
        assert process.status()["ready"] is True


def test_python_resources_go_through_the_same_door(resources):
    (resources / "a.py").write_text(
        "from envoy_data_plane.envoy.config.cluster.v3 import Cluster\n"
        "print('people print')\n"
        "resources = [Cluster(name='from-python')]\n"
    )

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            assert set(named(await stream.receive())) == {"from-python"}

    with started(resources) as process:
        asyncio.run(client(process))
        (resources / "a.py").write_text("resources = [\n  1 / 0,\n]\n")
        line = process.stderr.wait_for("resources refused")
        assert "file=a.py line=2" in line
        assert "ZeroDivisionError" in line


def test_a_symlink_that_is_renamed_over_is_one_change(tmp_path):
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        for name in "abc":
            write(tmp_path / version, f"{name}.yaml", cluster(f"{name}-{version}"))
    (tmp_path / "current").symlink_to("v1")

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            first = await stream.receive()
            await stream.ack(first)
            (tmp_path / "next").symlink_to("v2")
            (tmp_path / "next").rename(tmp_path / "current")
            assert set(named(await stream.receive())) == {"a-v2", "b-v2", "c-v2"}

    with started(tmp_path / "current") as process:
        asyncio.run(client(process))
        assert process.status()["change"] == 2


def test_sighup_reads_again(resources):
    mesh(resources)
    with started(resources) as process:
        loads = loads_of(process)
        process.signal(signal.SIGHUP)
        asyncio.run(until(lambda: loads_of(process) > loads))
        assert process.popen.poll() is None


def loads_of(process) -> float:
    text = process.get("/metrics").text
    return float(
        next(line for line in text.splitlines() if line.startswith("legation_xds_source_loads_total")).split()[1]
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_drains_the_streams_and_leaves_nothing(resources, number):
    mesh(resources)

    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.sotw()
            await stream.ask(names.CLUSTER)
            await stream.receive()
            process.signal(number)
            with pytest.raises(ENDED):
                await stream.receive()
            code, details = await stream.status()
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "drain" in details

    with started(resources) as process:
        admin = resources.parent / "a.sock"
        assert stat.S_IMODE(admin.stat().st_mode) == 0o660
        asyncio.run(client(process))
        assert process.wait() == 0
        assert not admin.exists()


def test_health_says_alive_and_ready(resources):
    with started(resources) as process:
        assert process.get("/healthz").status_code == 200
        assert process.get("/readyz").text == "ok\n"
        assert process.ready["pid"] == process.popen.pid
        assert process.status()["nodes"] == []


def test_json_logs_are_one_object_a_line(resources):
    with started(resources, "--log-format", "json") as process:
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    lines = [json.loads(line) for line in process.stderr.seen]
    assert [line["event"] for line in lines] == ["published", "ready", "draining", "ended"]
    assert {line["process"] for line in lines} == {"xds"}
    assert lines[0]["change"] == 1


@pytest.mark.parametrize("option", ["--plaintext", "--http", "--listen"])
def test_a_port_in_use_ends_the_process_at_once_and_is_named(resources, option):
    with occupied_port() as address:
        arguments = ["--resources", str(resources), "--trust-domain", "td.test", option, address]
        if option == "--listen":
            arguments += ["--tls", str(resources.parent)]
        if option == "--http":
            arguments += ["--plaintext", "127.0.0.1:0"]
        ended = run_to_end(arguments)
    assert ended.returncode == 1
    assert address in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plaintext", "127.0.0.1:0", "--resources", "/no/such/directory"], "/no/such/directory"),
        (["--plaintext", "0.0.0.0:0", "--resources", "{}"], "loopback"),
        (["--plaintext", "nonsense", "--resources", "{}"], "host:port"),
        (["--listen", "127.0.0.1:0", "--resources", "{}"], "--tls"),
        (["--resources", "{}"], "nothing to listen on"),
        (["--resources", "{}", "--trust-domain", "UPPER", "--plaintext", "127.0.0.1:0"], "trust domain"),
        (["--resources", "{}", "--unknown", "1"], "unrecognized arguments"),
    ],
)
def test_mistakes_of_the_command_line_are_exit_code_2(resources, arguments, said):
    ended = run_to_end(["--trust-domain", "td.test", *(argument.format(resources) for argument in arguments)])
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def tls_files(parent, authority: Authority, made: str, *, key_of: Authority | None = None) -> bytes:
    """What the ca process writes: a new directory, and a rename over the symlink. Returns the certificate."""
    pair = authority.server()
    other = pair if key_of is None else key_of.server()
    directory = parent / made
    directory.mkdir(parents=True)
    for name, data in (("cert.pem", pair.cert_pem), ("key.pem", other.key_pem), ("ca.pem", authority.ca_pem)):
        (directory / name).write_bytes(data)
    (parent / "next").symlink_to(made)
    (parent / "next").rename(parent / "current")
    return pair.cert_pem


def test_mtls_waits_for_its_files_serves_nodes_only_and_follows_rotations(resources, tmp_path):
    mesh(resources)
    authority = Authority("td.test")
    parent = tmp_path / "tls"
    parent.mkdir()

    async def served(address: str, pair, node: str = "whatever"):
        async with Connection(address, authority.ca_pem, pair) as connection:
            stream = connection.sotw(node=node)
            try:
                await stream.ask(names.CLUSTER)
                return named(await stream.receive()), None
            except ENDED:
                return None, await stream.status()

    with started(resources, "--listen", "127.0.0.1:0", "--tls", str(parent), plaintext=None, wait=False) as process:
        asyncio.run(until((tmp_path / "a.sock").exists))
        waiting = asyncio.run(until(lambda: "TLS files" in (reason := process.status()["reason"] or "") and reason))
        assert str(parent / "current") in waiting
        tls_files(parent, authority, "first")
        line = process.stderr.wait_for(" ready ")
        address = dict(urllib.parse.parse_qsl(line.strip().replace(" ", "&")))["listen"]
        found, _ = asyncio.run(served(address, authority.node("web")))
        assert set(found) == {"api"}
        _, (code, details) = asyncio.run(served(address, authority.leaf("spiffe://td.test/web")))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "spiffe://td.test/web is not the identity of a node" in details
        tls_files(parent, authority, "second")
        process.stderr.wait_for("version=second")
        tls_files(parent, authority, "third", key_of=Authority("td.test"))
        process.stderr.wait_for("tls files refused")
        status = process.status()
        assert "cannot be used together" in status["tls"]["error"]
        assert status["tls"]["rotations"] == 1
        found, _ = asyncio.run(served(address, authority.node("web")))
        assert set(found) == {"api"}


def test_the_secret_type_is_refused_and_the_stream_ends(resources):
    async def client(process) -> None:
        async with Connection(process.address) as connection:
            stream = connection.delta()
            code, details = await refusal(stream, names.SECRET)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "SDS" in details

    with started(resources) as process:
        asyncio.run(client(process))
