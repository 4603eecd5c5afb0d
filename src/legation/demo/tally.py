"""What the demo has seen so far, and what it proves. Pure: the tasks report here, the display and the verdict read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from legation.demo.der import Shown

ROTATIONS_MIN: Final = 2
FAILURES_KEPT: Final = 20
OK: Final = 200
DENIED: Final = 403


@dataclass(slots=True)
class Requests:
    """One kind of traffic."""

    expected: int
    """The status that every answer must have."""
    good: int = 0
    bad: int = 0
    failures: list[str] = field(default_factory=list)

    def count(self, status: int | None, detail: str, when: str) -> None:
        """Take one answer; None: there was none."""
        if status == self.expected:
            self.good += 1
            return
        self.bad += 1
        if len(self.failures) < FAILURES_KEPT:
            what = "no answer" if status is None else f"status {status} instead of {self.expected}"
            self.failures.append(f"{when} {what}: {detail}")


@dataclass(slots=True)
class Handshakes:
    """What one Envoy presented, handshake by handshake."""

    shown: Shown | None = None
    since: float = 0.0
    rotations: int = 0
    handshakes: int = 0
    failed: int = 0

    def saw(self, certificate: Shown, now: float) -> bool:
        """Take one handshake; True if the certificate is another than before."""
        self.handshakes += 1
        if self.shown is not None and self.shown.serial == certificate.serial:
            return False
        rotated = self.shown is not None
        self.rotations += rotated
        self.shown, self.since = certificate, now
        return rotated


@dataclass(slots=True)
class Tally:
    """Everything seen."""

    kept: Requests = field(default_factory=lambda: Requests(OK))
    new: Requests = field(default_factory=lambda: Requests(OK))
    stranger: Requests = field(default_factory=lambda: Requests(DENIED))
    envoys: dict[str, Handshakes] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """What ended the demo early."""

    def failures(self, *, rotations_min: int) -> list[str]:
        """What went wrong; empty if all is well."""
        found = list(self.broken)
        for what, requests in (("kept-alive", self.kept), ("new-connection", self.new)):
            found += _failed(what, requests)
        if self.stranger.bad:
            found.append(f"{self.stranger.bad} requests of the stranger were not refused with {DENIED}")
            found += [f"  {line}" for line in self.stranger.failures]
        for name, envoy in self.envoys.items():
            if envoy.rotations < rotations_min:
                found.append(
                    f"{name}: {envoy.rotations} rotations seen in {envoy.handshakes} handshakes, "
                    f"at least {rotations_min} are expected"
                )
        return found


def _failed(what: str, requests: Requests) -> list[str]:
    if not requests.good and not requests.bad:
        return [f"no {what} request was made"]
    if not requests.bad:
        return []
    total = requests.good + requests.bad
    return [f"{requests.bad} of {total} {what} requests failed:", *(f"  {line}" for line in requests.failures)]
