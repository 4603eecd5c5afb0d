"""What stands for the signer's client: a real authority without its socket; it can be away, slow, or wrong."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import trio
import trio.testing

from ca.identity.spiffe import SpiffeId
from ca.signer import messages
from ca.svid.errors import SignerRefusedError, SignerUnavailableError
from ca.svid.issuing import Issuer
from ca.svid.order import Order
from ca.svid.rotator import Rotator
from ca.svid.trust import Trust
from fakes.ca_authority import START, TRUST_DOMAIN, Signer
from xds.engine import wire


class Clocks:
    """A wall clock and a boot-time clock that follow trio's; the wall clock can be set, and both go on in a sleep."""

    def __init__(self) -> None:
        self.begin_s = START.timestamp()
        self.stepped_s = 0.0
        self.slept_s = 0.0

    def boot(self) -> float:
        return trio.current_time() + self.slept_s

    def wall(self) -> float:
        return self.begin_s + self.boot() + self.stepped_s

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall(), UTC)


class RealClocks(Clocks):
    """The machine's, for what a TLS library looks at."""

    def boot(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class FakeClient:
    """Answers like `SignerClient`. `away`: nobody is there; `tamper` changes what it has signed."""

    def __init__(self, authority: Signer, now: Callable[[], datetime]) -> None:
        self.authority = authority
        self.now = now
        self.away = False
        self.refuse: SignerRefusedError | None = None
        self.delay_s = 0.0
        self.tamper: Callable[[Any], None] = lambda _signed: None
        self.asked: list[tuple[float, str, dict[str, Any]]] = []
        self.at_once = self.at_once_max = 0

    async def state(self) -> Any:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise SignerUnavailableError("nobody is there")
        return self._result("state", {})

    async def wait_there(self, patience_s: float) -> Any:
        return await self.state()

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()

    async def sign(self, verb: str, fields: dict[str, Any]) -> Any:
        self.asked.append((self.now().timestamp(), verb, fields))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await trio.sleep(self.delay_s)
        finally:
            self.at_once -= 1
        if self.away:
            raise SignerUnavailableError("nobody is there")
        if self.refuse is not None:
            raise self.refuse
        signed = self._result(verb, fields)
        self.tamper(signed)
        return signed

    def _result(self, verb: str, fields: dict[str, Any]) -> Any:
        request = wire.message("legation.signer.v1.Request")(
            request_id=f"r{len(self.asked)}-{id(fields)}", **{verb: fields}
        )
        asked = messages.read_request(request.SerializeToString())
        bundle = messages.bundle_message(self.authority.authority.bundle)
        if asked is None:
            data = messages.write_state(self.authority.verbs, bundle, "a test's")
        else:
            (answer,) = self.authority.verbs.sign([asked], self.now())
            data = messages.write_answer(answer, bundle)
        response: Any = wire.message("legation.signer.v1.Response").FromString(data)
        which = response.WhichOneof("result")
        if which == "refusal":
            raise SignerRefusedError(response.refusal.code, response.refusal.message)
        return getattr(response, which)


class World:
    """An issuer and a rotator on a real authority, under trio's mock clock. Made inside `trio.run`."""

    def __init__(self, authority: Signer, clocks: Clocks | None = None) -> None:
        self.clocks = clocks or Clocks()
        self.client = FakeClient(authority, self.clocks.now)
        self.trust = Trust(authority.setting.trust_domain)
        self.trust.learn(self.client._result("state", {}).bundle)
        self.issuer = Issuer(self.client, self.trust, self.clocks.now)
        self.rotator = Rotator(self.issuer.issue, wall=self.clocks.wall, boot=self.clocks.boot)


def workload(path: str = "/web", *, node: str = "web-1", ttl_s: int = 100, dns: tuple[str, ...] = ()) -> Order:
    return Order("leaf", SpiffeId(TRUST_DOMAIN, path), node, ttl_s, dns)


async def until(condition: Callable[[], Any], *, every_s: float = 0.01) -> Any:
    """The first true answer of a condition; whoever calls it sets the bound."""
    while not (found := condition()):  # noqa: ASYNC110 (files and sockets set no event)
        await trio.sleep(every_s)
    return found


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a trio program in virtual time: where everybody sleeps, time jumps."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=True)
