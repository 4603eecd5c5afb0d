"""Between the protobuf of the signer's socket and the calls of `verbs`. Pure; no message ever holds a private key."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import DecodeError

from ca.errors import Code, RefusedError
from ca.identity.bundle import Bundle
from ca.signer.keystore import Stored
from ca.signer.verbs import Answer, LeafRequest, NodeRequest, SignRequest, Verbs
from xds.engine.wire import message

_REQUEST: Final = "legation.signer.v1.Request"
_RESPONSE: Final = "legation.signer.v1.Response"


def read_request(data: bytes) -> SignRequest | None:
    """What is asked for; None is the state. Raises `RefusedError`."""
    request: Any = message(_REQUEST)()
    try:
        request.ParseFromString(data)
    except DecodeError:
        raise RefusedError(Code.MALFORMED, "the message is no legation.signer.v1.Request") from None
    verb = request.WhichOneof("verb")
    if verb == "state":
        return None
    if verb == "sign_leaf":
        return _leaf_request(request.request_id, request.sign_leaf)
    if verb == "sign_node":
        return _node_request(request.request_id, request.sign_node)
    raise RefusedError(Code.MALFORMED, "the request names no verb that this signer knows")


def bundle_message(bundle: Bundle) -> Any:
    """The bundle as a message."""
    return message("legation.signer.v1.Bundle")(
        trust_domain=bundle.trust_domain, roots_der=bundle.roots_der, sequence=bundle.sequence
    )


def write_answer(answer: Answer, bundle: Any) -> bytes:
    """A serialised Response of what was signed or refused."""
    if isinstance(answer, RefusedError):
        return write_refusal(answer)
    window = answer.intent.window
    signed = {
        "chain_der": answer.chain_der,
        "issued_at_s": int(window.issued_at.timestamp()),
        "not_after_s": int(window.not_after.timestamp()),
        "serial_hex": f"{answer.intent.serial:x}",
        "truncated": window.truncated,
        "bundle": bundle,
    }
    return _response(signed=signed)


def write_refusal(refusal: RefusedError) -> bytes:
    """A serialised Response of a refusal."""
    return _response(refusal={"code": str(refusal.code), "message": str(refusal)})


def write_state(verbs: Verbs, bundle: Any, kek_source: str) -> bytes:
    """A serialised Response of the authority's state."""
    authorities = [_authority(stored) for stored in verbs.authority.authorities]
    return _response(
        state={"bundle": bundle, "authorities": authorities, "issued": verbs.issued, "kek_source": kek_source}
    )


def _leaf_request(request_id: str, leaf: Any) -> LeafRequest:
    return LeafRequest(request_id, leaf.csr_der, leaf.spiffe_id, leaf.node, leaf.ttl_s, tuple(leaf.dns_names))


def _node_request(request_id: str, node: Any) -> NodeRequest:
    subject = node.WhichOneof("subject")
    return NodeRequest(
        request_id,
        node.csr_der,
        node=node.node if subject == "node" else None,
        server=node.server if subject == "server" else None,
        dns_names=tuple(node.dns_names),
        ip_addresses=tuple(node.ip_addresses),
    )


def _authority(stored: Stored) -> dict[str, Any]:
    return {
        "id": stored.id,
        "kind": str(stored.kind),
        "state": "active",
        "not_before_s": int(stored.certificate.not_valid_before_utc.timestamp()),
        "not_after_s": int(stored.certificate.not_valid_after_utc.timestamp()),
    }


def _response(**result: Any) -> bytes:
    return message(_RESPONSE)(**result).SerializeToString()
