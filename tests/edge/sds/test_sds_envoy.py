"""A real Envoy: its node files, its secrets and their rotations, and that it is content with all (facts 3, 7, 12)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest
from fakes.ca_processes import BOUND_S, TRUST_DOMAIN, Site, get
from fakes.leftovers import MAPPED
from fakes.waiting import wait_for

from legation.bootstrap import Facts, bootstrap

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
SOURCE = {
    "resource_api_version": "V3",
    "initial_fetch_timeout": "2s",
    "api_config_source": {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": "legation_sds"}}],
    },
}


def document(site: Site, sds_address: str) -> dict:
    """The product's own bootstrap, without xDS and with one TLS listener that asks for both secrets."""
    facts = Facts(
        node="web", node_dir=site.nodes / "web", trust_domain=TRUST_DOMAIN, xds_address="127.0.0.1:1",
        sds_address=sds_address, admin_port=0,
    )  # fmt: skip
    made = bootstrap(facts)
    made.pop("dynamic_resources")
    context = {
        "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": SOURCE}],
        "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": SOURCE},
    }
    tls = {"@type": TLS, "require_client_certificate": True, "common_tls_context": context}
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "x",
        "cluster": "legation_sds",
    }
    chain = {
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
        "filters": [{"name": "tcp", "typed_config": proxy}],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    made["static_resources"]["listeners"] = [{"name": "x", "address": address, "filter_chains": [chain]}]
    return made


class Envoy:
    def __init__(self, site: Site, sds_address: str) -> None:
        path, self._admin, log = site.root / "envoy.json", site.root / "admin.txt", site.root / "envoy.log"
        path.write_text(json.dumps(document(site, sds_address)))
        command = [
            str(Path(sys.executable).parent / "envoy"),
            "-c",
            str(path),
            "--admin-address-path",
            str(self._admin),
        ]
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                [*command, "--concurrency", "1", "--disable-hot-restart"], stdout=output, stderr=output
            )
        self.log = log

    def stats(self) -> dict[str, str]:
        try:
            where = self._admin.read_text()
            lines = get(where, "/stats").decode().splitlines()
        except OSError:
            return {}
        return {name: value for name, _, value in (line.partition(": ") for line in lines)}

    def number(self, name: str) -> int:
        value = self.stats().get(name, "0")
        return int(value) if value.isdigit() else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        MAPPED.note()
        self.child.terminate()
        self.child.wait(BOUND_S)


@pytest.mark.envoy
def test_it_takes_its_files_its_secrets_and_every_rotation(tmp_path):
    site = Site(tmp_path)
    (site.entries / "web.yaml").write_text(f"- {{node: web, spiffe_id: spiffe://{TRUST_DOMAIN}/web, ttl: 3s}}\n")
    with site.signer("--node-ttl-s", "6") as signer:
        signer.ready()
        site.enrolled("web")
        with site.ca() as ca, site.enroll("--renew", "--all") as renewer:
            listen = ca.ready()["listen"]
            renewer.ready()
            with Envoy(site, listen) as envoy:
                wait_for(lambda: envoy.number("sds.default.update_success") >= 3, "two rotations of the SVID")
                wait_for(lambda: envoy.number("sds.tls_certificate.update_success") >= 2, "the files' flip is noticed")
                wait_for(lambda: envoy.number("cluster.legation_sds.upstream_cx_total") >= 2, "the next connection")
                after = envoy.number("sds.default.update_success")
                wait_for(lambda: envoy.number("sds.default.update_success") > after, "a rotation over that one")
                stats = envoy.stats()
                (row,) = wait_for(
                    lambda: [row for row in site.status()["certificates"] if row["acked"]], "it acknowledges"
                )
                everything = get((site.root / "admin.txt").read_text(), "/config_dump").decode()
            assert renewer.end() == 0
            assert ca.end() == 0
    assert stats["sds.tls_certificate.key_rotation_failed"] == stats["sds.default.key_rotation_failed"] == "0"
    assert stats["sds.default.update_rejected"] == stats["sds.ROOTCA.update_rejected"] == "0"
    assert stats["sds.ROOTCA.update_success"] == "1", "the bundle did not change, so it came once"
    assert row["last_rejection"] is None
    assert "PRIVATE KEY" not in everything + ca.text() + envoy.log.read_text()
