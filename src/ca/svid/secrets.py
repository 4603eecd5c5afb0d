"""Holders and bundles as Envoy's Secret: what SDS sends, checked before it is published.

The version of a TlsCertificate is its leaf's fingerprint, never a hash over key bytes; that of a bundle is the hash of
its bytes.
"""

from __future__ import annotations

from typing import Any, Final

from ca.identity.bundle import Bundle
from ca.svid.holder import Holder
from xds.engine import wire
from xds.engine.record import Record, make_record
from xds.names import PREFIX, SECRET

DEFAULT: Final = "default"
"""The node's own SVID: its first entry."""

ROOTCA: Final = "ROOTCA"
"""The roots of our trust domain, in Envoy's SPIFFE validator."""

_VALIDATOR: Final = "envoy.tls.cert_validator.spiffe"
_VALIDATOR_CONFIG: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig"


def svid_record(name: str, holder: Holder) -> Record:
    """The SVID under one of its names."""
    certificate = {
        "certificate_chain": {"inline_bytes": holder.chain_pem()},
        "private_key": {"inline_bytes": holder.key_pem()},
    }
    secret = _message("Secret")(name=name, tls_certificate=certificate)
    return make_record(SECRET, name, _bytes(secret), version=holder.fingerprint)


def bundle_record(bundle: Bundle) -> Record:
    """The bundle as `ROOTCA`.

    A `Bundle` holds at least one root and self-signed roots only: Envoy acknowledges anything else and then refuses
    everybody (facts A5, 1). That it was built by `Bundle.build` is looked at once more here, because the price of an
    error is the fleet.
    """
    bundle = Bundle.build(bundle.trust_domain, bundle.roots, bundle.sequence)
    trust = {"name": bundle.trust_domain, "trust_bundle": {"inline_bytes": bundle.pem}}
    validator = _message("SpiffeCertValidatorConfig")(trust_domains=[trust])
    config = {"name": _VALIDATOR, "typed_config": {"type_url": _VALIDATOR_CONFIG, "value": _bytes(validator)}}
    return make_record(
        SECRET, ROOTCA, _bytes(_message("Secret")(name=ROOTCA, validation_context={"custom_validator_config": config}))
    )


def _message(name: str) -> Any:
    return wire.message(f"legation.sds.v1.{name}")


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString(deterministic=True)
    return data
