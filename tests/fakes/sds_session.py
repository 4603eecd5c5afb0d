"""A client of one engine session that asks for secrets: no socket, no loop."""

from __future__ import annotations

from typing import Any

from fakes.envoy_messages import new
from xds.engine import wire
from xds.engine.session import Session
from xds.engine.view import View
from xds.names import SECRET


class SecretClient:
    """Subscribes by name, and acknowledges or rejects what comes."""

    def __init__(
        self, view: View, *names: str, delta: bool = True, held: dict[str, str] | None = None, doubts: Any = ()
    ) -> None:
        self.delta = delta
        self.names = list(names)
        self.session = Session(view, delta=delta, allowed=frozenset({SECRET}), doubts=doubts)
        self.waiting: list[Any] = []
        self.versions: dict[str, str] = {}
        self.nonce = ""
        if delta:
            self._send(resource_names_subscribe=names, initial_resource_versions=held or {})
        else:
            self._send(resource_names=names)

    def _send(self, **fields: Any) -> None:
        kind = "DeltaRequest" if self.delta else "SotwRequest"
        reply = self.session.on_request(wire.message(f"legation.discovery.v1.{kind}")(type_url=SECRET, **fields))
        if reply is not None:
            self.waiting.append(reply)

    def take(self) -> Any | None:
        """The next secret, with its resource's version in `versions`; None if nothing is due."""
        reply = self.waiting.pop(0) if self.waiting else self.session.next_reply()
        if reply is None:
            return None
        self.nonce = reply.nonce
        if self.delta:
            response = new("envoy.service.discovery.v3.DeltaDiscoveryResponse")
            response.ParseFromString(reply.body)
            assert not response.removed_resources, "Envoy takes it for an answer"
            (resource,) = response.resources
            packed, version = resource.resource, resource.version
        else:
            response = new("envoy.service.discovery.v3.DiscoveryResponse")
            response.ParseFromString(reply.body)
            (packed,) = response.resources
            version = response.version_info
        secret = new("envoy.extensions.transport_sockets.tls.v3.Secret")
        packed.Unpack(secret)
        assert secret.name in self.names
        self.versions[secret.name] = version
        return secret

    def ack(self) -> None:
        names = {} if self.delta else {"resource_names": self.names}
        self._send(response_nonce=self.nonce, **names)

    def nack(self, text: str = "no") -> None:
        names = {} if self.delta else {"resource_names": self.names}
        self._send(response_nonce=self.nonce, error_detail={"code": 13, "message": text}, **names)

    def take_and_ack(self) -> Any | None:
        secret = self.take()
        if secret is not None:
            self.ack()
        return secret

    def close(self) -> None:
        self.session.close()
