"""One value of proto3 JSON to one protobuf scalar. `Wrong` says what is expected and never what was found."""

from __future__ import annotations

import base64
import binascii
import difflib
import math
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

ENUM_NAMES_SHOWN: Final = 12
FLOAT_MAX: Final = 3.4028234663852886e38
DOUBLE_LIMIT: Final = 2**1023
DIGITS_MAX: Final = 20
"""Of 2**64."""


class Wrong(ValueError):  # noqa: N818 - reads well where it is raised, and ends as a complaint
    """A value is not what its field expects."""


def scalar_reader(field: FieldDescriptor) -> Callable[[Any], Any]:
    """Function that reads values of this field (no map of the API has keys other than text and numbers)."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return _bool
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        enum = cast("EnumDescriptor", field.enum_type)
        return null if enum.full_name == "google.protobuf.NullValue" else _enum(enum)
    if kind in _INTEGERS:
        return _integer(*_INTEGERS[kind])
    if kind in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
        return number if kind == FieldDescriptor.CPPTYPE_DOUBLE else _float(FLOAT_MAX)
    return _bytes if field.type == FieldDescriptor.TYPE_BYTES else text


_INTEGERS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1, "a whole number of 32 bits"),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1, "a whole number of 32 bits, not negative"),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1, "a whole number of 64 bits"),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1, "a whole number of 64 bits, not negative"),
}


def text(value: Any) -> str:
    """The value, if it is text that can be encoded."""
    if type(value) is not str:
        found = {bool: "a boolean", int: "a number", float: "a number"}.get(type(value))
        raise Wrong(f"expects text; unquoted, this is {found}: put it in quotes" if found else "expects text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Wrong("expects text that is valid Unicode; this has half of a surrogate pair") from None
    return value


def null(value: Any) -> int:
    """The only value of protobuf's `NullValue`."""
    if value not in (None, "NULL_VALUE"):
        raise Wrong("expects null")
    return 0


def _bytes(value: Any) -> bytes:
    if type(value) is not str:
        raise Wrong("expects bytes in base64")
    try:
        plain = value.replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("expects bytes in base64") from None


def _bool(value: Any) -> bool:
    if type(value) is not bool:
        raise Wrong("expects true or false, without quotes")
    return value


def _integer(low: int, high: int, expected: str) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        found = value
        if type(found) is str:
            found = _whole(found)
        elif type(found) is float and found.is_integer():
            found = int(found)
        if type(found) is not int or not low <= found <= high:
            raise Wrong(f"expects {expected}")
        return found

    return read


def _whole(written: str) -> int | None:
    """Digits only: Python's `int` would take blanks, underscores and other scripts' digits as well."""
    digits = written.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX:
        return int(written)
    found = _real(written)
    return int(found) if found is not None and found.is_integer() else None


def number(value: Any) -> float:
    """A double."""
    found = _real(value) if type(value) is str else value
    if type(found) is int and abs(found) < DOUBLE_LIMIT:
        found = float(found)
    if type(found) is not float:
        raise Wrong("expects a number")
    return found


def _float(limit: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        found = number(value)
        if math.isfinite(found) and abs(found) > limit:
            raise Wrong("expects a number of single precision")
        return found

    return read


def _real(written: str) -> float | None:
    named = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(written)
    if named is not None:
        return named
    if written.strip("+-.0123456789eE"):
        return None
    try:
        found = float(written)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _enum(enum: EnumDescriptor) -> Callable[[Any], int]:
    numbers = {value.name: value.number for value in enum.values}
    known = frozenset(numbers.values())

    def read(value: Any) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        if type(value) is int and value in known:
            return value
        names = list(numbers)
        near = difflib.get_close_matches(value.upper(), names, 1) if type(value) is str else []
        listed = ", ".join(names[:ENUM_NAMES_SHOWN]) + (", …" if len(names) > ENUM_NAMES_SHOWN else "")
        raise Wrong(f"expects one of {listed}" + (f"; did you mean {near[0]}?" if near else ""))

    return read
