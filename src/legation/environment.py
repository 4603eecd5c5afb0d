"""What must be true of the machine and the environment before anything else is imported or started.

Standard library only, not even `xds.errors`: the package that it looks for may have shadowed `xds`.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterable
from typing import Final

CLASH: Final = "xds-protos"
"""This distribution writes into a top-level package `xds`, which shadows or deletes ours."""


class UnsuitableEnvironmentError(Exception):
    """Legation cannot run here. The message says why, and what cures it."""


def check_environment(platform: str = sys.platform) -> None:
    """Raise `UnsuitableEnvironmentError` where Legation cannot run."""
    if platform != "linux":
        raise UnsuitableEnvironmentError(f"Legation runs on Linux only; this is {platform}.")
    refuse_shadowing_distributions()


def _of_that_name() -> Iterable[importlib.metadata.Distribution]:
    """By the directories' names: reading the metadata of everything that is installed takes tens of milliseconds."""
    return importlib.metadata.distributions(name=CLASH)


def refuse_shadowing_distributions(
    distributions: Callable[[], Iterable[importlib.metadata.Distribution]] = _of_that_name,
) -> None:
    """Raise `UnsuitableEnvironmentError` with the cure if xds-protos is installed here. Looks at metadata only."""
    for distribution in distributions():
        name = str(distribution.metadata["Name"])  # the text None, in a broken installation
        if name.lower().replace("_", "-") == CLASH:
            raise UnsuitableEnvironmentError(clash_message(distribution.version))


def clash_message(version: str) -> str:
    """What to do about an installed xds-protos."""
    return (
        f"the PyPI package {CLASH} {version} is installed in this environment ({sys.prefix}). It writes into the same "
        "top-level package `xds` as Legation and breaks it.\n"
        f"Cure: {sys.executable} -m pip uninstall -y {CLASH} && "
        f"{sys.executable} -m pip install --force-reinstall --no-deps legation\n"
        f"or put the program that needs {CLASH} into an environment of its own. Legation does not need it: it carries "
        "Envoy's API itself."
    )


def version_of(distribution: str) -> str:
    """An installed distribution's version, for people."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
