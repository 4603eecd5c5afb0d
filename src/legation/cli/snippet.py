"""`legation snippet`: pieces of configuration whose bytes matter."""

from __future__ import annotations

import subprocess

import click

from legation.process import python


@click.group
def snippet() -> None:
    """Print pieces of configuration to paste into resource files."""


@snippet.command(short_help="Print the reference to a secret.")
@click.argument("name")
def secret(name: str) -> int:
    """Print the reference to the secret NAME: `default` (the node's own certificate) or `ROOTCA` (the roots)."""
    return _run("secret", name)


@snippet.command(short_help="Print a cluster's mutual TLS socket.")
@click.option("--peer", required=True, multiple=True, metavar="SPIFFE_ID", help="Who may be at the other end.")
def upstream_tls(peer: tuple[str, ...]) -> int:
    """Print a cluster's `transport_socket`: mutual TLS to these peers only. One line, fit for YAML and JSON."""
    return _run("upstream-tls", *(f"--peer={one}" for one in peer))


@snippet.command(short_help="Print a filter chain's mutual TLS socket.")
@click.option("--peer", required=True, multiple=True, metavar="SPIFFE_ID", help="Who may be at the other end.")
def downstream_tls(peer: tuple[str, ...]) -> int:
    """Print a filter chain's `transport_socket`: mutual TLS for these peers only. One line, fit for YAML and JSON."""
    return _run("downstream-tls", *(f"--peer={one}" for one in peer))


def _run(*arguments: str) -> int:
    return subprocess.run(python("xds.resources.snippet", *arguments), check=False).returncode
