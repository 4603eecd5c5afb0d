"""`legation.yaml` becomes a frozen `Settings`. Pure but for `load`, which reads the one file."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from legation.durations import BACKDATE_S, LIFE_MIN_S, RATIO, ROOT_MAX_S, Lifetimes, exact, parse_duration
from legation.schema import KEYS, SECTIONS, Key, Kind
from xds.errors import ConfigError
from xds.names import InvalidSpiffeId, check_trust_domain

DEFAULT_FILE: Final = "legation.yaml"
SOCKET_PATH_BYTES_MAX: Final = 107
"""Linux: `sun_path` holds 108 with the final zero."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})", re.ASCII)
_BY_NAME = {key.name: key for key in KEYS}
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("text", "json")
_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `legation.yaml` says, checked, with absolute paths and seconds."""

    source: str
    """The file, or empty: nothing but defaults."""
    trust_domain: str
    data_dir: Path
    resources: Path
    entries: Path
    server_names: tuple[str, ...]
    xds_listen: str
    xds_plaintext: str | None
    sds_listen: str
    http_xds: str | None
    http_ca: str | None
    ca_leaf_ttl: int
    ca_intermediate_ttl: int
    ca_root_ttl: int
    ca_node_ttl: int
    ca_backdate: int
    ca_kek: Path | None
    log_level: str
    log_format: str
    defaulted: frozenset[str]
    """Names of the keys that the file does not set."""

    @property
    def run_dir(self) -> Path:
        """Sockets, and xds's TLS files."""
        return self.data_dir / "run"

    @property
    def nodes_dir(self) -> Path:
        """Certificate files of local nodes, a directory each."""
        return self.data_dir / "nodes"

    @property
    def signer_socket(self) -> Path:
        """Where the signer listens."""
        return self.run_dir / "signer.sock"

    @property
    def xds_socket(self) -> Path:
        """Admin API of xds."""
        return self.run_dir / "xds.admin.sock"

    @property
    def ca_socket(self) -> Path:
        """Admin API of ca."""
        return self.run_dir / "ca.admin.sock"


def load(path: Path | None, cwd: Path) -> Settings:
    """Settings from the named file, or from `legation.yaml` in `cwd` if there is one, or the defaults."""
    if path is None:
        path = cwd / DEFAULT_FILE
        if not path.exists():
            return parse("", source="", base=cwd)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. Without --config the defaults are used.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return parse(text, source=str(path), base=path.absolute().parent)


def parse(text: str, *, source: str, base: Path) -> Settings:
    """Settings from text. Raises one `ConfigError` that lists every mistake with its line."""
    reader = _Reader(source or DEFAULT_FILE, base)
    values = reader.read(text)
    if reader.mistakes:
        raise ConfigError("\n".join(reader.mistakes))
    return Settings(source=source, defaulted=frozenset(_BY_NAME) - reader.given, **values)


class _Reader:
    """One pass over the document; collects mistakes instead of stopping at the first."""

    def __init__(self, source: str, base: Path) -> None:
        self.source = source
        self.base = base
        self.mistakes: list[str] = []
        self.given: set[str] = set()

    def read(self, text: str) -> dict[str, Any]:
        values = {key.attribute: self.default(key) for key in KEYS}
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            self.mistakes.append(self.yaml_message(error))
            return values
        if root is not None and root.tag != _NULL:
            self.mapping(root, "", values)
        self.check_together(values)
        return values

    def yaml_message(self, error: yaml.YAMLError) -> str:
        mark = getattr(error, "problem_mark", None)
        where = f"{self.source}:{mark.line + 1}:{mark.column + 1}" if mark is not None else self.source
        return f"{where}: is not YAML: {getattr(error, 'problem', None) or error}"

    def mistake(self, node: yaml.Node, message: str) -> None:
        self.mistakes.append(f"{self.source}:{node.start_mark.line + 1}: {message}")

    def mapping(self, node: yaml.Node, prefix: str, values: dict[str, Any]) -> None:
        if not isinstance(node, yaml.MappingNode):
            self.mistake(node, f"{prefix.rstrip('.') or 'the file'} must hold `key: value` lines")
            return
        seen: set[str] = set()
        for key_node, value_node in node.value:
            name = prefix + str(key_node.value)
            if name in seen:
                self.mistake(key_node, f"{name} is given twice")
            elif name in _BY_NAME:
                self.value(_BY_NAME[name], value_node, values)
            elif not prefix and name in SECTIONS:
                self.mapping(value_node, name + ".", values)
            else:
                self.mistake(key_node, _unknown(name))
            seen.add(name)

    def value(self, key: Key, node: yaml.Node, values: dict[str, Any]) -> None:
        if node.tag == _NULL:
            if not key.optional:
                self.mistake(node, f"{key.name} has no value ({key.kind.value} is expected)")
                return
            values[key.attribute] = None
        else:
            try:
                values[key.attribute] = self.convert(key, node)
            except ValueError as error:
                self.mistake(node, f"{key.name}: {error}")
        self.given.add(key.name)

    def convert(self, key: Key, node: yaml.Node) -> object:
        if key.kind is Kind.NAMES:
            if not isinstance(node, yaml.SequenceNode):
                raise ValueError("a list is expected, such as [control.example.com, 10.0.0.5]")
            return tuple(_server_name(_scalar(item)) for item in node.value)
        return self.scalar(key, _scalar(node))

    def scalar(self, key: Key, text: str) -> object:
        match key.kind:
            case Kind.PATH:
                return _path(text, self.base)
            case Kind.DURATION:
                return _ttl(key, text)
            case Kind.ADDRESS:
                return check_address(text)
            case Kind.TRUST_DOMAIN:
                return _trust_domain(text)
            case _:
                return _choice(text, _LEVELS if key.kind is Kind.LEVEL else _FORMATS)

    def default(self, key: Key) -> object:
        return self.scalar(key, key.default) if isinstance(key.default, str) else key.default

    def check_together(self, values: dict[str, Any]) -> None:
        if not self.mistakes:
            self.check_lifetimes(values)
        plaintext = values["xds_plaintext"]
        if plaintext is not None and not is_loopback(split_address(plaintext)[0]):
            self.mistakes.append(
                f"{self.source}: xds.plaintext: {plaintext} is not a loopback address; "
                "without TLS xDS is served on loopback only"
            )
        self.check_ports(values)
        longest = values["data_dir"] / "run" / "xds.admin.sock"
        if len(os.fsencode(longest)) > SOCKET_PATH_BYTES_MAX:
            self.mistakes.append(
                f"{self.source}: data_dir: {longest} is longer than {SOCKET_PATH_BYTES_MAX} bytes, "
                "the most that Linux allows for a Unix socket; choose a shorter data_dir"
            )

    def check_lifetimes(self, values: dict[str, Any]) -> None:
        names = ("leaf_ttl", "intermediate_ttl", "root_ttl", "node_ttl", "backdate")
        given = Lifetimes(*(values[f"ca_{name}"] for name in names))
        nearest = given.nearest_valid()
        if nearest != given:
            self.mistakes.append(
                f"{self.source}: the lifetimes do not fit together: {given}. Needed: leaf_ttl and node_ttl ≤ "
                f"intermediate_ttl / {RATIO}, intermediate_ttl ≤ root_ttl / {RATIO}, root_ttl ≤ {exact(ROOT_MAX_S)}, "
                f"leaf_ttl and node_ttl ≥ {exact(LIFE_MIN_S)}, backdate {BACKDATE_S[0]}s to {BACKDATE_S[1]}s. "
                f"The nearest valid set: {nearest}"
            )

    def check_ports(self, values: dict[str, Any]) -> None:
        owners: dict[str, str] = {}
        for key in KEYS:
            address = values[key.attribute]
            if key.kind is not Kind.ADDRESS or address is None or split_address(address)[1] == 0:
                continue
            other = owners.setdefault(address, key.name)
            if other != key.name:
                self.mistakes.append(f"{self.source}: {other} and {key.name} are the same address, {address}")


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT` or `[V6]:PORT` in its parts."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """True for the loopback addresses and `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unknown(name: str) -> str:
    known = [*_BY_NAME, *SECTIONS]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not near:  # the right word in the wrong section, or without its section
        near = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]][:1]
    hint = f"; the nearest known is {near[0]}" if near else f"; known are {', '.join(sorted(known))}"
    return f"unknown key {name}{hint}"


def _scalar(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("one value is expected, not a list or a mapping")  # noqa: TRY004 (the reader collects ValueErrors)
    return str(node.value)


def _path(text: str, base: Path) -> Path:
    if not text or "\0" in text:
        raise ValueError("a path is expected")
    return Path(os.path.normpath(base / Path(text).expanduser()))


def _ttl(key: Key, text: str) -> int:
    seconds = parse_duration(text)
    if seconds == 0 and key.name != "ca.backdate":
        raise ValueError("must be longer than nothing")
    return seconds


def check_address(text: str) -> str:
    """The text, if it is HOST:PORT. Raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004 (the last TCP port)
        raise ValueError(f"{text!r} is no address: HOST:PORT is expected, such as 127.0.0.1:18100")
    if host.startswith("[") and host.endswith("]"):
        ipaddress.IPv6Address(host[1:-1])
    elif _HOST.fullmatch(host) is None:
        raise ValueError(
            f"{text!r} has no usable host; HOST:PORT is expected, 0.0.0.0 for every interface, [::1] for IPv6"
        )
    return text


def _trust_domain(text: str) -> str:
    try:
        check_trust_domain(text)
    except InvalidSpiffeId as error:
        raise ValueError(str(error)) from None
    return text


def _server_name(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if _HOST.fullmatch(text) is None:
            raise ValueError(f"{text!r} is neither a DNS name nor an IP address") from None
    return text


def _choice(text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        near = difflib.get_close_matches(text, allowed, n=1)
        raise ValueError(
            f"{text!r} is not one of {', '.join(allowed)}" + (f"; the nearest is {near[0]}" if near else "")
        )
    return text
