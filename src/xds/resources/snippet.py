"""`python -m xds.resources.snippet KIND …` prints pieces of configuration whose bytes or defaults matter."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Final

import yaml

from xds.names import PREFIX, InvalidSpiffeId, SpiffeId
from xds.resources.secret import secret_config

OWN: Final = "default"
ROOTS: Final = "ROOTCA"
_TLS: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3."
_VERSION: Final = "TLSv1_3"


def secret(name: str) -> str:
    """An item for `tls_certificate_sds_secret_configs`, or the value of `validation_context_sds_secret_config`."""
    return yaml.safe_dump(secret_config(name), sort_keys=False, default_flow_style=False)


def upstream_tls(peers: list[str]) -> str:
    """A cluster's `transport_socket`: mutual TLS with own certificate, to these SPIFFE IDs only. One line of JSON."""
    return _socket("UpstreamTlsContext", {"common_tls_context": _context(peers)})


def downstream_tls(peers: list[str]) -> str:
    """A filter chain's `transport_socket`: a client certificate is required, of these SPIFFE IDs only."""
    required = {"require_client_certificate": True, "common_tls_context": _context(peers)}
    return _socket("DownstreamTlsContext", required)


def _context(peers: list[str]) -> dict[str, Any]:
    matchers = [{"san_type": "URI", "matcher": {"exact": peer}} for peer in peers]
    return {
        # An upstream's default ends at 1.2 and accepts fewer key types than we issue (facts 6).
        "tls_params": {"tls_minimum_protocol_version": _VERSION, "tls_maximum_protocol_version": _VERSION},
        "tls_certificate_sds_secret_configs": [secret_config(OWN)],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": matchers},
            "validation_context_sds_secret_config": secret_config(ROOTS),
        },
    }


def _socket(kind: str, typed: dict[str, Any]) -> str:
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": {"@type": _TLS + kind, **typed}}
    return json.dumps(socket) + "\n"


def _spiffe_id(text: str) -> str:
    try:
        return str(SpiffeId.parse(text))
    except InvalidSpiffeId as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _secret_name(text: str) -> str:
    if text in {OWN, ROOTS}:
        return text
    try:
        return _spiffe_id(text)
    except argparse.ArgumentTypeError:
        known = f"{OWN} (the node's own certificate), {ROOTS} (the roots), or the SPIFFE ID of an entry"
        raise argparse.ArgumentTypeError(f"there is no secret of that name; there are {known}") from None


def main(arguments: list[str] | None = None) -> int:
    """Print a snippet."""
    parser = argparse.ArgumentParser(prog="legation snippet", description="Prints a piece of configuration.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    named = kinds.add_parser("secret", help="the reference to a secret, in the one form that Envoy shares")
    named.add_argument("name", type=_secret_name, help="default, ROOTCA, or the SPIFFE ID of an entry")
    for kind in (upstream_tls, downstream_tls):
        tls = kinds.add_parser(kind.__name__.replace("_", "-"), help=kind.__doc__)
        tls.add_argument("--peer", type=_spiffe_id, action="append", required=True, help="SPIFFE ID at the other end")
    options = parser.parse_args(arguments)
    if options.kind == "secret":
        sys.stdout.write(secret(options.name))
    else:
        sys.stdout.write({"upstream-tls": upstream_tls, "downstream-tls": downstream_tls}[options.kind](options.peer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
