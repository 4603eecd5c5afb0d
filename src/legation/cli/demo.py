"""`legation demo`: see it work, on this machine, in a minute."""

from __future__ import annotations

import os
import time

import click

from legation.demo.run import run_demo
from legation.render import terminal

SECONDS_MIN = 40


@click.command(short_help="See it work: two real Envoys and rotating certificates.")
@click.option(
    "--seconds", type=int, metavar="N", help=f"Run unattended for N seconds ({SECONDS_MIN} or more) and judge."
)
def demo(seconds: int | None) -> int:
    """Run the control plane and two real Envoys that talk mutual TLS with certificates of 20 seconds.

    With --seconds it exits with 0 only if at least two rotations were seen in the handshakes of each Envoy and no
    request failed; otherwise it says what failed.
    """
    if seconds is not None and seconds < SECONDS_MIN:
        raise click.UsageError(
            f"--seconds {seconds} is too short: certificates live 20 s and rotate after 10 to 15 s, so two rotations "
            f"of each Envoy are sure to be seen only in {SECONDS_MIN} s or more."
        )
    good = run_demo(terminal(), time.time, os.getpid(), seconds)
    return 0 if good else 1
