"""`legation bootstrap`: what an Envoy is started with."""

from __future__ import annotations

import os
from pathlib import Path

import click

from legation import bootstrap as document
from legation.cli.options import check_node_name, config_option, settings_from
from legation.report import config_option as config_suffix
from legation.settings import Settings, check_address, split_address
from xds.errors import ConfigError


@click.command
@config_option
@click.option("--node", required=True, metavar="NAME", help="Name of the node, as it was enrolled.")
@click.option(
    "--node-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Certificate files on the machine where that Envoy runs. Default: <data_dir>/nodes/NAME.",
)
@click.option("--cluster", metavar="NAME", default="", help="Envoy's node.cluster; the node's name by default.")
@click.option("--xds-address", metavar="HOST:PORT", help="Where that Envoy reaches xds. Default: xds.listen.")
@click.option("--sds-address", metavar="HOST:PORT", help="Where that Envoy reaches ca. Default: sds.listen.")
@click.option(
    "--admin-port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Envoy's admin interface on 127.0.0.1:N; none by default.",
)
def bootstrap(  # noqa: PLR0917 (click passes them by name)
    config: Path | None,
    node: str,
    node_dir: Path | None,
    cluster: str,
    xds_address: str | None,
    sds_address: str | None,
    admin_port: int | None,
) -> None:
    """Print the bootstrap of a node's Envoy (JSON)."""
    settings = settings_from(config)
    check_node_name(settings, node)
    if node_dir is None and not os.path.exists(settings.nodes_dir / node):  # noqa: PTH110 (no error where we may not look)
        warn_of_missing_files(settings, node)
    facts = document.Facts(
        node=node,
        node_dir=(node_dir or settings.nodes_dir / node).absolute(),
        trust_domain=settings.trust_domain,
        cluster=cluster,
        xds_address=reachable("xds", xds_address, settings),
        sds_address=reachable("sds", sds_address, settings),
        admin_port=admin_port,
    )
    click.echo(document.to_json(document.bootstrap(facts)), nl=False)


def warn_of_missing_files(settings: Settings, node: str) -> None:
    """On standard error: the document is right, but an Envoy that is started with it now waits for its files."""
    click.echo(
        f"legation: warning: {settings.nodes_dir / node} is not there (or this user cannot see it). First: legation "
        f"enroll{config_suffix(settings)} --node {node}. Where the files lie elsewhere, say so: --node-dir",
        err=True,
    )


def reachable(server: str, given: str | None, settings: Settings) -> str:
    """The address that an Envoy connects to. Raises `ConfigError` where only the operator can know it."""
    if given is not None:
        try:
            return check_address(given)
        except ValueError as error:
            raise ConfigError(f"--{server}-address: {error}") from None
    listen = settings.xds_listen if server == "xds" else settings.sds_listen
    host, port = split_address(listen)
    if host in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        name = settings.server_names[0] if settings.server_names else "<this machine>"
        raise ConfigError(
            f"{server}.listen is {listen}, which is every interface and no address to connect to. "
            f"Say how that Envoy reaches this machine: --{server}-address {name}:{port}"
        )
    return listen
