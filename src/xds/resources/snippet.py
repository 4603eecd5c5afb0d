"""`python -m xds.resources.snippet secret NAME` prints the constant reference to a secret as YAML."""

from __future__ import annotations

import argparse
import sys

import yaml

from xds.resources.secret import secret_config


def snippet(name: str) -> str:
    """An item for `tls_certificate_sds_secret_configs`, or the value of `validation_context_sds_secret_config`."""
    return yaml.safe_dump(secret_config(name), sort_keys=False, default_flow_style=False)


def main(arguments: list[str] | None = None) -> int:
    """Print a snippet."""
    parser = argparse.ArgumentParser(prog="legation snippet", description="Prints a piece of configuration.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    secret = kinds.add_parser("secret", help="the reference to a secret, in the one form that Envoy shares")
    secret.add_argument("name", help="default (the node's own certificate) or ROOTCA (the bundle of roots)")
    sys.stdout.write(snippet(parser.parse_args(arguments).name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
