"""`legation snippet`: pieces of configuration whose bytes matter."""

from __future__ import annotations

import subprocess

import click

from legation.process import python


@click.group
def snippet() -> None:
    """Print pieces of configuration to paste into resource files."""


@snippet.command
@click.argument("name")
def secret(name: str) -> int:
    """Print the reference to the secret NAME: `default` (the node's own certificate) or `ROOTCA` (the roots)."""
    return subprocess.run(python("xds.resources.snippet", "secret", name), check=False).returncode
