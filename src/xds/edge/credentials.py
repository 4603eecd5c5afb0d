"""TLS credentials of a listener that rotate while it serves."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

import grpc

from xds.errors import LocalError


class ServerCredentials:
    """Certificate, key and trusted roots of a server that requires client certificates; `update` rotates them.

    grpc asks for them on a thread of its own and keeps the old ones in silence when it is given something useless.
    Therefore they are checked and prepared here, before they are taken; what grpc gets is a ready object.
    """

    __slots__ = ("_current",)

    def __init__(self, cert_pem: bytes, key_pem: bytes, ca_pem: bytes) -> None:
        self._current = _prepared(cert_pem, key_pem, ca_pem)

    def update(self, cert_pem: bytes, key_pem: bytes, ca_pem: bytes) -> None:
        """Use these from the next connection on. Raises `LocalError` and keeps the old ones if they do not fit."""
        self._current = _prepared(cert_pem, key_pem, ca_pem)

    def __repr__(self) -> str:
        return "<ServerCredentials: redacted>"

    def __reduce__(self) -> str:
        raise TypeError("credentials are not to be pickled")

    @property
    def grpc(self) -> grpc.ServerCredentials:
        """What grpc's server takes; follows every `update`."""
        return grpc.dynamic_ssl_server_credentials(
            self._current, self._fetcher(self._current), require_client_authentication=True
        )

    def _fetcher(self, given: object) -> Callable[[], object]:
        """Answer each handshake: the new credentials once, then None ("unchanged") so that grpc keeps its context."""

        def fetch() -> object:
            nonlocal given
            current = self._current
            if current is given:
                return None
            given = current
            return current

        return fetch


def _prepared(cert_pem: bytes, key_pem: bytes, ca_pem: bytes) -> object:
    check_pair(cert_pem, key_pem)
    _check_roots(ca_pem)
    return grpc.ssl_server_certificate_configuration([(key_pem, cert_pem)], root_certificates=ca_pem)


def check_pair(cert_pem: bytes, key_pem: bytes) -> None:
    """Raise `LocalError` unless the key is the certificate's. The message holds no part of either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert_fd, key_fd = _in_memory("certificate", cert_pem), _in_memory("key", key_pem)
    try:
        context.load_cert_chain(f"/proc/self/fd/{cert_fd}", f"/proc/self/fd/{key_fd}", password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise LocalError(f"the certificate and key of this server cannot be used together: {reason}") from None
    finally:
        os.close(cert_fd)
        os.close(key_fd)


def _check_roots(ca_pem: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=ca_pem.decode("ascii"))
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise LocalError(f"the trusted roots of this server cannot be read: {reason}") from None
    if not context.cert_store_stats()["x509_ca"]:
        raise LocalError("the trusted roots of this server hold no CA certificate: every client would be refused")


def _in_memory(name: str, data: bytes) -> int:
    """A file for `ssl`, which reads from files only, that never is on a disk."""
    fd = os.memfd_create(f"legation-{name}", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    return fd


def _no_password() -> str:
    raise ValueError("the key is encrypted")
