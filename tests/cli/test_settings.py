from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.identity.lifetimes import Lifetimes as SignerLifetimes
from legation.durations import Lifetimes, exact, format_duration, parse_duration
from legation.schema import KEYS
from legation.settings import load, parse
from xds.errors import ConfigError

BASE = Path("/etc/legation")


def read(text: str, base: Path = BASE):
    return parse(text, source="legation.yaml", base=base)


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_without_a_line_the_defaults_hold():
    settings = read("")
    assert settings.trust_domain == "legation.local"
    assert settings.data_dir == BASE / "legation-data"
    assert (settings.xds_listen, settings.sds_listen) == ("127.0.0.1:18100", "127.0.0.1:18101")
    assert settings.ca_leaf_ttl == 3600
    assert settings.ca_root_ttl == 365 * 86400
    assert settings.ca_kek is None
    assert settings.defaulted == {key.name for key in KEYS}


def test_every_key_of_the_schema_can_be_given():
    settings = read("""
trust_domain: demo.legation
data_dir: /var/lib/legation
resources: ../resources
entries: entries
server_names: [control.example.com, 10.0.0.5, "::1"]
xds: {listen: "[::1]:1", plaintext: "localhost:2"}
sds: {listen: 0.0.0.0:3}
http: {xds: null, ca: "127.0.0.1:4"}
ca: {leaf_ttl: 20s, intermediate_ttl: 1h30m, root_ttl: 7d, node_ttl: 15m, backdate: 10s, kek: secret/kek}
log: {level: debug, format: json}
""")
    assert settings.defaulted == frozenset()
    assert settings.resources == Path("/etc/resources")
    assert settings.server_names == ("control.example.com", "10.0.0.5", "::1")
    assert settings.xds_listen == "[::1]:1"
    assert settings.http_xds is None
    assert (settings.ca_leaf_ttl, settings.ca_intermediate_ttl, settings.ca_backdate) == (20, 5400, 10)
    assert settings.ca_kek == BASE / "secret/kek"
    assert settings.signer_socket == Path("/var/lib/legation/run/signer.sock")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("trust_domian: x", 1, "unknown key trust_domian; the nearest known is trust_domain"),
        ("xds:\n  lisen: 127.0.0.1:1", 2, "unknown key xds.lisen; the nearest known is xds.listen"),
        ("leaf_ttl: 1h", 1, "unknown key leaf_ttl; the nearest known is ca.leaf_ttl"),
        ("\nzzz: 1", 2, "unknown key zzz; known are ca, ca.backdate,"),
        ("ca: {leaf_ttl: 1w}", 1, "ca.leaf_ttl: '1w' is no duration"),
        ("ca: {leaf_ttl: 20}", 1, "ca.leaf_ttl: '20' is no duration"),
        ("ca: {leaf_ttl: 0s}", 1, "ca.leaf_ttl: must be longer than nothing"),
        ("ca:\n- leaf_ttl", 2, "ca must hold `key: value` lines"),
        ("- a", 1, "the file must hold `key: value` lines"),
        ("data_dir:", 1, "data_dir has no value (path is expected)"),
        ("data_dir: [a]", 1, "data_dir: one value is expected"),
        ("entries: a\nentries: b", 2, "entries is given twice"),
        ("xds: {listen: 18100}", 1, "xds.listen: '18100' is no address"),
        ("xds: {listen: 'h:70000'}", 1, "xds.listen: 'h:70000' is no address"),
        ("xds: {listen: '[zz]:1'}", 1, "xds.listen: "),
        ("xds: {listen: 'a b:1'}", 1, "has no usable host"),
        ("trust_domain: Prod.Example", 1, "trust_domain: trust domain is empty or has a character outside"),
        (
            "log: {level: warn}",
            1,
            "log.level: 'warn' is not one of debug, info, warning, error; the nearest is warning",
        ),
        ("server_names: control", 1, "server_names: a list is expected"),
        ("server_names: ['a b']", 1, "server_names: 'a b' is neither a DNS name nor an IP address"),
        ("a: [", 1, "is not YAML"),
    ],
)
def test_a_mistake_is_named_with_file_and_line(text, line, says):
    message = refused(text)
    assert message.startswith(f"legation.yaml:{line}:")
    assert says in message


def test_all_mistakes_are_told_at_once():
    message = refused("trust_domian: x\nlog:\n  level: loud\n  colour: red")
    assert [text.split(":")[1] for text in message.splitlines()] == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("xds: {plaintext: '0.0.0.0:1'}", "xds.plaintext: 0.0.0.0:1 is not a loopback address"),
        ("sds: {listen: '127.0.0.1:18100'}", "xds.listen and sds.listen are the same address"),
        ("data_dir: " + "d" * 120, "longer than 107 bytes"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(text, says):
    assert says in refused(text)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        (
            "ca: {leaf_ttl: 2d}",
            "ca: {leaf_ttl: 2d, intermediate_ttl: 12d, root_ttl: 365d, node_ttl: 1d, backdate: 1m}",
        ),
        (
            "ca: {backdate: 0s, node_ttl: 1s, root_ttl: 41d}",
            "ca: {leaf_ttl: 1h, intermediate_ttl: 7d, root_ttl: 42d, node_ttl: 2s, backdate: 10s}",
        ),
    ],
)
def test_lifetimes_that_do_not_fit_are_refused_with_the_nearest_that_do(text, nearest):
    assert refused(text).endswith(f"The nearest valid set: {nearest}")
    assert read(nearest).defaulted == {key.name for key in KEYS if not key.name.startswith("ca.")} | {"ca.kek"}


SECONDS = st.integers(0, 11 * 365 * 86400) | st.integers(0, 400)


@given(SECONDS, SECONDS, SECONDS, SECONDS, SECONDS)
def test_lifetimes_are_judged_as_the_signer_judges_them(leaf, intermediate, root, node, backdate):
    ours = Lifetimes(leaf, intermediate, root, node, backdate).nearest_valid()
    signers = SignerLifetimes(leaf, intermediate, root, node, backdate).nearest_valid()
    assert (ours.leaf, ours.intermediate, ours.root, ours.node, ours.backdate) == (
        signers.leaf_s,
        signers.intermediate_s,
        signers.root_s,
        signers.node_s,
        signers.backdate_s,
    )


@given(SECONDS)
def test_an_exact_duration_is_read_back(seconds):
    assert parse_duration(exact(seconds)) == seconds


def test_a_named_file_must_exist_and_the_default_one_need_not(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "legation.yaml", tmp_path)
    assert load(None, tmp_path).data_dir == tmp_path / "legation-data"
    (tmp_path / "legation.yaml").write_text("data_dir: here")
    assert load(None, tmp_path).data_dir == tmp_path / "here"


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "legation.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(None, tmp_path)


@given(st.integers(0, 10**8))
def test_durations_of_whole_units_survive(seconds):
    days, rest = divmod(seconds, 86400)
    assert parse_duration(f"{days}d{rest}s") == seconds


@pytest.mark.parametrize("text", ["", "1", "s", "1.5h", "-1s", "1s1h", "1 s", "1S", "\u0661s"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (-3, "0s"), (59.6, "1m"), (3661, "1h1m"), (90061, "1d1h"), (20, "20s")]
)
def test_durations_are_shown_in_two_units(seconds, text):
    assert format_duration(seconds) == text


@given(st.text(max_size=200))
def test_any_text_is_settings_or_a_config_error(text):
    try:
        read(text)
    except ConfigError as error:
        assert str(error).startswith("legation.yaml")  # noqa: PT017 (both outcomes are allowed)
