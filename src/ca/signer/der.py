"""The little DER that X.509 needs around a prebuilt TBS: take elements apart, write one element."""

from __future__ import annotations

from typing import Final

from ca.errors import LocalError

SEQUENCE: Final = 0x30
BIT_STRING: Final = 0x03
_LONG_FORM: Final = 0x80


def element(tag: int, content: bytes) -> bytes:
    """One element: tag, shortest length, content."""
    size = len(content)
    if size < _LONG_FORM:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(length))) + length + content


def split(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Where the content of the element at `offset` begins and where it ends. Raises `LocalError`."""
    if offset + 2 > len(data):
        raise LocalError("DER ends inside of an element")
    first, start = data[offset + 1], offset + 2
    if first < _LONG_FORM:
        size = first
    else:
        start += first & 0x7F
        size = int.from_bytes(data[offset + 2 : start], "big")
    if start + size > len(data):
        raise LocalError("DER ends inside of an element")
    return start, start + size


def children(data: bytes) -> list[bytes]:
    """The elements inside of a constructed element. Raises `LocalError`."""
    offset, end = split(data)
    found = []
    while offset < end:
        _, after = split(data, offset)
        found.append(data[offset:after])
        offset = after
    return found


def tbs_and_algorithm(certificate_der: bytes) -> tuple[bytes, bytes]:
    """The two elements of a certificate before its signature: TBSCertificate and AlgorithmIdentifier."""
    tbs_start, _ = split(certificate_der)
    _, tbs_end = split(certificate_der, tbs_start)
    _, algorithm_end = split(certificate_der, tbs_end)
    return certificate_der[tbs_start:tbs_end], certificate_der[tbs_end:algorithm_end]


def certificate(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """A Certificate of its three parts."""
    return element(SEQUENCE, tbs + algorithm + element(BIT_STRING, b"\0" + signature))
