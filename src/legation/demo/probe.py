"""Completes TLS handshakes with an Envoy and reads the certificate that it presents."""

from __future__ import annotations

import ssl

import trio

from legation.demo.der import Shown, read_certificate


def probe_context() -> ssl.SSLContext:
    """Trusts anybody: it looks at certificates and sends nothing. It has none itself, so Envoy ends the connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


async def certificate_of(port: int, context: ssl.SSLContext) -> Shown:
    """What the server on that port presents now. Raises `OSError`, `trio.BrokenResourceError` or `ValueError`.

    In TLS 1.3 the client's side of the handshake ends before the server looks at the client's certificate.
    """
    plain = await trio.open_tcp_stream("127.0.0.1", port)
    stream = trio.SSLStream(plain, context)
    try:
        await stream.do_handshake()
        der = stream.getpeercert(binary_form=True)
    finally:
        await trio.aclose_forcefully(plain)
    if not der:
        raise ValueError("the handshake showed no certificate")
    return read_certificate(der)
