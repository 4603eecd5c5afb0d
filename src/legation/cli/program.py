"""The `legation` program: which command, and what its errors look like."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib import resources
from typing import Final

import click

import legation
from legation.environment import version_of
from xds.errors import ConfigError, LegationError

COMMANDS: Final = {
    "up": "legation.cli.up:up",
    "demo": "legation.cli.demo:demo",
    "status": "legation.cli.status:status",
    "enroll": "legation.cli.enroll:enroll",
    "bootstrap": "legation.cli.bootstrap:bootstrap",
    "snippet": "legation.cli.snippet:snippet",
}
"""In the order of the help text: first what a newcomer needs."""

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


class LazyGroup(click.Group):
    """Imports a command's module when it is needed, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Names, in our order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 (click's signature)
    if value and not ctx.resilient_parsing:
        click.echo(versions())
        ctx.exit()


def versions() -> str:
    """Ours, and those of what decides how we talk to Envoy."""
    api = (resources.files("xds") / "_gen" / "api-version.txt").read_text(encoding="utf-8").strip()
    lines = [f"legation {legation.__version__}", f"Envoy API {api}"]
    lines += [f"{name} {version_of(name)}" for name in ("grpcio", "protobuf")]
    return "\n".join(lines)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show versions.")
def cli() -> None:
    """Legation: a control plane for Envoy on VMs and in containers.

    xDS from one process, certificates that rotate from others. Try it: legation demo
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every expected error becomes one message on standard error."""
    try:
        code = cli.main(args=arguments, prog_name="legation", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_FAILED
    except BrokenPipeError:
        sys.stderr.close()  # `legation status | head`: nobody is left to read
        return EXIT_FAILED
    except (LegationError, PermissionError) as error:
        complain(not_permitted(error) if isinstance(error, PermissionError) else error)
        return exit_code(error)
    return code if isinstance(code, int) else 0


def exit_code(error: Exception) -> int:
    """2 where the operator's input is at fault; a child's own code where it has one (a signal's is negative)."""
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    return max(getattr(error, "code", EXIT_FAILED), EXIT_FAILED)


def not_permitted(error: PermissionError) -> str:
    """Which file this user may not use, and who may."""
    return (
        f"{error.filename}: permission denied for uid {os.getuid()}. "
        "Ask as the user that runs `legation up`, or as root; or set another `data_dir`."
    )


def complain(message: object) -> None:
    """One message for people on standard error."""
    from legation.report import plain_lines  # noqa: PLC0415 (most commands end without a complaint)

    click.secho("legation: ", fg="red", bold=True, nl=False, err=True)
    click.echo(plain_lines(message), err=True)
