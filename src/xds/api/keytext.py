"""What private keys look like as text and as bytes, and what people call them.

A net under the fields that Envoy's API marks as sensitive, for the fields that take any text. It finds what somebody
put there by mistake, in the usual forms; it cannot find what somebody hides.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_PRIVATE_KEY: Final = b"private" + b" key"
"""In two pieces, so that scanners for keys find none in this file."""

_MARKS: Final = (b"putty-user-key-file", b"age-secret-key-1")
_PEM: Final = re.compile(
    rb"---- ?(?:begin|end) [a-z0-9 ]{0,40}" + _PRIVATE_KEY + rb"|" + _PRIVATE_KEY + rb"(?: block)?\s?----"
)
"""In small letters. The heads of PEM, OpenSSH and PGP, or what is left of them."""


def _in_base64(text: bytes) -> tuple[bytes, ...]:
    """What of the text is sure to be seen in base64, at each of the three places where it can begin."""
    found = []
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + text)
        found.append(whole[-(-before * 8 // 6) : (before + len(text)) * 8 // 6])
    return tuple(found)


_ENCODED: Final = (*_in_base64(_PRIVATE_KEY.upper()), base64.b64encode(b"openssh-key-v1")[:18])

_LENGTH: Final = rb"(?:[\x10-\x7f]|\x81[\x80-\xff]|\x82..)"
_DER: Final = re.compile(
    rb"\x30" + _LENGTH + rb"(?:"
    rb"\x02\x01[\x00\x01]\x30[\x05-\x40]\x06"  # PKCS #8: a version and an algorithm
    rb"|\x02\x01\x01\x04[\x14-\x42]"  # SEC 1: a version and a number
    rb"|\x02\x01\x00\x02" + _LENGTH + rb"[\x00-\xff]{4}"  # PKCS #1: a version and the modulus
    rb"|\x02\x01\x03\x30"  # PKCS #12
    rb"|\x30[\x10-\x7f]\x06(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05|\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c)"  # encrypted
    rb")",
    re.DOTALL,
)
_DER_BASE64: Final = re.compile(rb"M(?=((?:I[GHI]|[B-H][A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{29}))")
"""Base64 of 0x30 and a length; the characters after it are enough to tell what it is."""

_JWK: Final = re.compile(rb"\{[^{}]*\}")
_JWK_TYPE: Final = re.compile(rb"""["']kty\\{0,8}["']\s{0,8}[:=]""")
_JWK_PRIVATE: Final = re.compile(rb"""["']d\\{0,8}["']\s{0,8}[:=]\s{0,8}\\{0,8}["'][A-Za-z0-9_-]""")

STRUCT_KEYS: Final = frozenset(
    {
        *("authpassword", "downstreamauthpassword", "keypassword", "passphrase", "passwd", "password"),
        *("keypem", "pkcs12", "privatekey", "privatekeypassword", "privatekeypem", "sessionticketkeys"),
        *("backendtoken", "clientsecret", "secretaccesskey", "secretdata", "secretkey", "sessiontoken"),
    }
)
"""Keys of a mapping without a type, as `squeezed` makes them. Whole keys: password_policy is none of them."""

SOURCES: Final = frozenset({"inlinestring", "inlinebytes", "filename", "environmentvariable"})
"""The ways in which Envoy's DataSource says where its data is."""

_KEY_FILES: Final = frozenset({"key.pem", "privkey.pem", "kek"})
_KEY_SUFFIX: Final = ".key"

_WORDS: Final = (
    *_MARKS,
    _PRIVATE_KEY,
    b"kty",
    b".key",
    b"key.pem",
    b"/kek",
    *(b"password", b"passwd", b"passphrase", b"token", b"secret", b"pkcs12", b"ticket", b"keypem", b"key_pem"),
    *(b"privatekey", b"private" + b"_key", b"private-key", b"key-pem"),
)
"""One of these is in every text of which anything below says yes, but for the encoded ones."""


def squeezed(key: str) -> str:
    """`secretkey` for secret_key, secret-key and secretKey."""
    return key.replace("_", "").replace("-", "").lower()


def suspicious(body: bytes) -> bool:
    """A quick look at a whole resource: False if nothing in it needs a second one."""
    small = body.lower()
    return any(word in small for word in _WORDS) or any(text in body for text in _ENCODED) or _has_der(body)


def key_in(data: bytes) -> str | None:
    """What kind of private key the data of one field holds."""
    small = data.lower()
    if (_PRIVATE_KEY in small and _PEM.search(small)) or any(mark in small for mark in _MARKS):
        return "the text of a private key"
    if any(text in data for text in _ENCODED) or _has_der(data):
        return "a private key in base64 or DER"
    if b"kty" in data and any(_JWK_TYPE.search(part) and _JWK_PRIVATE.search(part) for part in _JWK.findall(data)):
        return "a private key as JWK"
    return None


def is_key_file(name: str) -> bool:
    """Whether a file is a private key by its name, such as each of ours is."""
    last = name.rpartition("/")[2].lower()
    return last in _KEY_FILES or last.endswith(_KEY_SUFFIX)


def _has_der(data: bytes) -> bool:
    if _DER.search(data):
        return True
    return any(_DER.match(_decoded(b"M" + rest)) for rest in _DER_BASE64.findall(data))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text.replace(b"-", b"+").replace(b"_", b"/"))
    except binascii.Error:
        return b""
