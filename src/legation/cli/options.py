"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from legation.settings import Settings, load
from xds.errors import ConfigError
from xds.names import InvalidSpiffeId, SpiffeId

Command = Callable[..., Any]


def config_option(function: Command) -> Command:
    """`--config FILE`."""
    return click.option(
        "--config",
        "-c",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings; legation.yaml in the current directory if there is one, else the defaults.",
    )(function)


def settings_from(config: Path | None) -> Settings:
    """The settings that a command works with."""
    return load(config, Path.cwd())


def check_node_name(settings: Settings, node: str) -> None:
    """Refuse a name that no node can have."""
    try:
        SpiffeId.for_node(settings.trust_domain, node)
    except InvalidSpiffeId as error:
        raise ConfigError(f"--node {error}") from None
