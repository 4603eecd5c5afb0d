"""The command lines of the processes that make up a control plane. Pure."""

from __future__ import annotations

from legation.durations import RATIO
from legation.process import READY_FD, Program, python
from legation.settings import Settings
from xds.limits import connection_age_s


def programs(settings: Settings) -> tuple[Program, ...]:
    """Everything that `legation up` keeps running, in the order in which it is listed to people."""
    return (signer(settings), ca(settings), xds(settings), renew(settings))


def signer(settings: Settings) -> Program:
    """The process with the CA keys."""
    arguments = [
        *("--data-dir", str(settings.data_dir)),
        *("--socket", str(settings.signer_socket)),
        *("--trust-domain", settings.trust_domain),
        *("--leaf-ttl-s", str(settings.ca_leaf_ttl)),
        *("--intermediate-ttl-s", str(settings.ca_intermediate_ttl)),
        *("--root-ttl-s", str(settings.ca_root_ttl)),
        *("--node-ttl-s", str(settings.ca_node_ttl)),
        *("--backdate-s", str(settings.ca_backdate)),
    ]
    if settings.ca_kek is not None:
        arguments += ["--kek", str(settings.ca_kek)]
    return Program("signer", python("ca.signer", *arguments, *_common(settings)))


def ca(settings: Settings) -> Program:
    """The secret server."""
    arguments = [
        *("--run-dir", str(settings.run_dir)),
        *("--entries", str(settings.entries)),
        *("--signer-socket", str(settings.signer_socket)),
        *("--listen", settings.sds_listen),
        *("--trust-domain", settings.trust_domain),
        *("--ttl-max-s", str(settings.ca_intermediate_ttl // RATIO)),
        *("--admin-socket", str(settings.ca_socket)),
    ]
    for name in settings.server_names:
        arguments += ["--server-name", name]
    if settings.http_ca is not None:
        arguments += ["--http", settings.http_ca]
    return Program("ca", python("ca", *arguments, *_common(settings)), reloads=True)


def xds(settings: Settings) -> Program:
    """The management server."""
    arguments = [
        *("--resources", str(settings.resources)),
        *("--listen", settings.xds_listen),
        *("--tls", str(settings.run_dir / "xds")),
        *("--trust-domain", settings.trust_domain),
        *("--admin-socket", str(settings.xds_socket)),
        *("--connection-age-s", str(connection_age_s(settings.ca_node_ttl))),
    ]
    if settings.xds_plaintext is not None:
        arguments += ["--plaintext", settings.xds_plaintext]
    if settings.http_xds is not None:
        arguments += ["--http", settings.http_xds]
    return Program("xds", python("xds", *arguments, *_common(settings)), reloads=True)


def renew(settings: Settings) -> Program:
    """Keeps the certificate files of local nodes fresh."""
    return Program("renew", python("ca.enroll", "--renew", "--all", *_enroll(settings), "--ready-fd", READY_FD))


def enroll(settings: Settings, node: str) -> Program:
    """Writes a node's first certificate files, and ends."""
    return Program("enroll", python("ca.enroll", "--node", node, *_enroll(settings)))


def _enroll(settings: Settings) -> tuple[str, ...]:
    return (
        *("--out", str(settings.nodes_dir)),
        *("--signer-socket", str(settings.signer_socket)),
        *("--trust-domain", settings.trust_domain),
        *_log(settings),
    )


def _log(settings: Settings) -> tuple[str, ...]:
    return ("--log-level", settings.log_level, "--log-format", settings.log_format)


def _common(settings: Settings) -> tuple[str, ...]:
    return (*_log(settings), "--ready-fd", READY_FD)
