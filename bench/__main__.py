"""`python -m bench SCENARIO`: every file in `bench/scenarios` that has a `command` is a scenario."""

from __future__ import annotations

import importlib
import pkgutil
import signal

import click

from bench import scenarios


@click.group()
def main() -> None:
    """Measure control planes from outside: in ratios, against a floor, in one run."""
    # Both end a run in order, with everything that it started.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def load() -> None:
    """Find the scenarios."""
    for module in pkgutil.iter_modules(scenarios.__path__, f"{scenarios.__name__}."):
        command = getattr(importlib.import_module(module.name), "command", None)
        if isinstance(command, click.Command):
            main.add_command(command)


if __name__ == "__main__":
    load()
    main(prog_name="python -m bench")
