"""`legation enroll`: a node's first certificate files. The keys are made by a process of `ca`, not here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from legation.cli.options import check_node_name, config_option, settings_from
from legation.prepare import is_running
from legation.programs import enroll as enroll_program
from legation.report import config_option as config_suffix
from xds.errors import LocalError


@click.command(short_help="Write a node's first certificate files.")
@config_option
@click.option("--node", required=True, metavar="NAME", help="Name of the node: letters, digits, . _ -")
def enroll(config: Path | None, node: str) -> int:
    """Write the first certificate files of a node on this machine, below `<data_dir>/nodes/NAME`.

    Needs a running `legation up` and access to the signer's socket. While it runs, the files are renewed by themselves.
    """
    settings = settings_from(config)
    check_node_name(settings, node)
    if not is_running(settings):
        raise LocalError(
            f"nothing runs on {settings.data_dir}, so nobody can sign. "
            f"Start it first: legation up{config_suffix(settings)}"
        )
    code = subprocess.run(enroll_program(settings, node).argv, check=False).returncode
    if code == 0:
        click.echo(f"Certificate files of {node}: {settings.nodes_dir / node}")
        click.echo(
            f"Next: legation bootstrap{config_suffix(settings)} --node {node} > {node}.json && "
            f"envoy -c {node}.json --disable-hot-restart"
        )
    return code
