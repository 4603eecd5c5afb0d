"""`python -m ca.enroll`: a node's files, and their renewal (identity 112, facts 12)."""

from __future__ import annotations

import json
import signal
import stat
from pathlib import Path

import pytest
from cryptography import x509
from fakes.ca_processes import BOUND_S, TRUST_DOMAIN, Site
from fakes.envoy_messages import parsed
from fakes.waiting import wait_for


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def serial(site, name):
    try:
        return x509.load_pem_x509_certificate((site.nodes / name / "current" / "cert.pem").read_bytes()).serial_number
    except OSError:
        return None


def run(process) -> tuple[int, str]:
    with process:
        return process.child.wait(BOUND_S), process.text()


def test_a_node_gets_its_files_and_envoy_would_read_them(site):
    with site.signer() as signer:
        signer.ready()
        pair, _ = site.enrolled("web-1")
    leaf = x509.load_pem_x509_certificate(pair.cert_pem)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://{TRUST_DOMAIN}/cp/node/web-1"]
    directory = site.nodes / "web-1"
    assert sorted(path.name for path in (directory / "current").iterdir()) == [
        "ca.pem",
        "cert.pem",
        "key.pem",
        "meta.json",
    ]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "current" / "key.pem").stat().st_mode) == 0o600
    for name, kind in (
        ("tls_certificate", "tls_certificate"),
        ("xds_validation", "validation_context"),
        ("ca_validation", "validation_context"),
    ):
        document = json.loads((directory / f"{name}.json").read_text())
        response = parsed("envoy.service.discovery.v3.DiscoveryResponse", document)
        secret = parsed(
            "envoy.extensions.transport_sockets.tls.v3.Secret",
            {key: value for key, value in document["resources"][0].items() if key != "@type"},
        )
        assert len(response.resources) == 1
        assert (secret.name, secret.WhichOneof("type")) == (name, kind)
        assert getattr(secret, kind).watched_directory.path == str(directory)
        if kind == "validation_context":
            matchers = secret.validation_context.match_typed_subject_alt_names
            server = name.removesuffix("_validation")
            assert [matcher.matcher.exact for matcher in matchers] == [f"spiffe://{TRUST_DOMAIN}/cp/{server}"]
            assert Path(secret.validation_context.trusted_ca.filename).is_file()


def test_enrolled_again_it_gets_a_new_certificate_and_the_old_directory_is_gone(site):
    with site.signer() as signer:
        signer.ready()
        site.enrolled("web")
        first = serial(site, "web")
        site.enrolled("web")
        assert serial(site, "web") != first
    assert len(list((site.nodes / "web").glob("gen-*"))) == 1


def test_all_are_renewed_in_time_and_newcomers_are_noticed(site):
    with site.signer("--node-ttl-s", "3") as signer:
        signer.ready()
        site.enrolled("web")
        first = serial(site, "web")
        with site.enroll("--renew", "--all") as renewer:
            renewer.ready()
            second = wait_for(lambda: (now := serial(site, "web")) != first and now, "a renewal")
            wait_for(lambda: serial(site, "web") not in {first, second}, "one more")
            site.enrolled("api")
            third = serial(site, "api")
            wait_for(lambda: serial(site, "api") not in {None, third}, "the newcomer's renewal")
            assert renewer.end() == 0


def test_a_certificate_that_is_fresh_keeps_its_instant_over_a_restart(site):
    with site.signer() as signer:
        signer.ready()
        site.enrolled("web")
        first = serial(site, "web")
        with site.enroll("--renew", "--node", "web") as renewer:
            renewer.ready()
            assert renewer.end(signal.SIGINT) == 0
        assert serial(site, "web") == first


def test_one_node_without_files_is_enrolled_by_its_renewal(site):
    with site.signer() as signer:
        signer.ready()
        with site.enroll("--renew", "--node", "web") as renewer:
            renewer.ready()
            wait_for(lambda: serial(site, "web"), "its first certificate")
            assert renewer.end() == 0


def test_a_signer_that_dies_and_returns_is_no_reason_to_end(site):
    with site.signer("--node-ttl-s", "3") as signer:
        signer.ready()
        site.enrolled("web")
        with site.enroll("--renew", "--all") as renewer:
            renewer.ready()
            signer.end(signal.SIGKILL)
            first = serial(site, "web")
            with site.signer("--node-ttl-s", "3") as second:
                second.ready()
                wait_for(lambda: serial(site, "web") != first, "a renewal after the return")
            assert renewer.end() == 0


def test_damaged_files_are_replaced(site):
    with site.signer() as signer:
        signer.ready()
        site.enrolled("web")
        (site.nodes / "web" / "current" / "cert.pem").write_text("half")
        with site.enroll("--renew", "--all") as renewer:
            renewer.ready()

            def readable():
                try:
                    return serial(site, "web")
                except ValueError:
                    return None

            wait_for(readable, "a new certificate")
            assert renewer.end() == 0


BAD = {
    "no node": ((), "--node NAME is missing"),
    "a bad name": (("--node", "../x"), "node name"),
    "renew what": (("--renew",), "--node NAME or --all"),
    "all alone": (("--all",), "--all goes with --renew"),
    "all and one": (("--renew", "--all", "--node", "x"), "--all goes with"),
}


@pytest.mark.parametrize(("arguments", "expected"), BAD.values(), ids=BAD)
def test_a_bad_command_line_is_code_two(site, arguments, expected):
    code, text = run(site.enroll(*arguments))
    assert code == 2
    assert expected in text
    assert "Traceback" not in text


def test_a_directory_that_others_may_write_gets_no_key(site):
    site.nodes.mkdir()
    site.nodes.chmod(0o777)
    with site.signer() as signer:
        signer.ready()
        code, text = run(site.enroll("--node", "web"))
    assert code == 1
    assert "0777" in text
