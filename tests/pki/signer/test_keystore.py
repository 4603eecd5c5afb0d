"""Keys on the disk: sealed, private, atomic; and refused with a cure when anything about them is wrong."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil

import pytest
from cryptography.hazmat.primitives import serialization
from fakes.ca_authority import setting, start
from fakes.ownership import give_away

from ca.errors import ConfigError, LegationError, LocalError
from ca.signer import files
from ca.signer.key import KeyEncryptionKey, SigningKey


@pytest.fixture
def made(tmp_path):
    """A data directory after its first start, and its root."""
    signer = start(setting(tmp_path))
    signer.leaf()
    signer.close()
    return signer


def reopen(tmp_path, **options):
    signer = start(setting(tmp_path, **options))
    signer.close()
    return signer


def refused(tmp_path, kind=LegationError, **options):
    """Start again; it must refuse, and must change nothing."""
    data = tmp_path / "data"
    before = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    with pytest.raises(kind) as error:
        reopen(tmp_path, **options)
    after = {path: path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    assert before == after, "a refused start leaves everything as it was"
    return str(error.value)


def key_files(tmp_path):
    return sorted(path for path in (tmp_path / "data/keystore").iterdir() if path.name != "state.json")


def test_a_restart_has_the_same_authorities(tmp_path, made):
    again = reopen(tmp_path)
    assert again.authority.bundle == made.authority.bundle
    assert again.authority.issuer.certificate == made.authority.issuer.certificate
    again = start(setting(tmp_path))
    assert again.leaf().certificate.issuer == made.authority.issuer.certificate.subject
    again.close()


def test_141_no_key_lies_in_clear_in_any_form(tmp_path, made):
    keys = [stored.key._SigningKey__key for stored in made.authority.authorities]
    forms = []
    for key in keys:
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        pkcs8 = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        forms += [scalar, pkcs8, scalar.hex().encode(), base64.b64encode(pkcs8), base64.b64encode(scalar), pkcs8[:36]]
    everything = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert len(everything) >= 6
    for form in forms[:-1]:
        assert not any(form in data for data in everything)
    assert not any(b"PRIVATE KEY" in data for data in everything)


def test_142_modes(tmp_path, made):
    data = tmp_path / "data"
    for path in (data, *data.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("name", ["kek", "keystore", "keystore/state.json", "journal", "journal/00000001.jsonl", "key"])
@pytest.mark.parametrize("mode", [0o040, 0o004, 0o020])
def test_142_looser_modes_are_refused_with_the_cure(tmp_path, made, name, mode):
    path = key_files(tmp_path)[0] if name == "key" else tmp_path / "data" / name
    path.chmod(path.stat().st_mode | mode)
    words = refused(tmp_path, ConfigError)
    assert f"chmod {'0700' if path.is_dir() else '0600'} {path}" in words


def test_142_a_data_directory_that_others_may_write_is_refused(tmp_path, made):
    (tmp_path / "data").chmod(0o775)
    assert "chmod 0755" in refused(tmp_path, ConfigError)
    (tmp_path / "data").chmod(0o755)
    reopen(tmp_path)


@pytest.mark.parametrize("name", ["kek", "keystore", "keystore/state.json", "journal", "key"])
def test_142_symlinks_are_refused(tmp_path, made, name):
    path = key_files(tmp_path)[0] if name == "key" else tmp_path / "data" / name
    moved = tmp_path / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)
    assert "symbolic link" in refused(tmp_path, ConfigError)


@pytest.mark.parametrize("name", ["kek", "keystore", "keystore/state.json", "journal", "journal/00000001.jsonl", "key"])
def test_142_files_of_another_user_are_refused(tmp_path, made, name, monkeypatch):
    path = key_files(tmp_path)[0] if name == "key" else tmp_path / "data" / name
    other = give_away(monkeypatch, path)
    assert f"{path} belongs to uid {other}" in refused(tmp_path, ConfigError)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"schema": 1', '"schema": 0'),
        lambda text: text.replace('"wrapped": "', '"wrapped": "AAAA'),
        lambda text: text.replace('"box": "', '"box": "AAAA'),
        lambda text: text.replace('"box": "', '"box": "?'),
        lambda text: re.sub(r'"kind": "\w+"', '"kind": "intermediate"', text),
        lambda text: re.sub(r'"issued_at": \d+', '"issued_at": 1', text),
        lambda text: re.sub(r'"spki": "\w', '"spki": "x', text),
        lambda text: re.sub(r'"certificate": "M', '"certificate": "N', text),
    ],
)
def test_a_damaged_root_is_refused_with_the_way_back(tmp_path, made, damage):
    path = tmp_path / "data/keystore" / f"{made.authority.authorities[0].id}.json"
    path.write_text(damage(path.read_text()))
    words = refused(tmp_path, LocalError)
    assert "damaged" in words
    assert str(path) in words
    assert "no new root was made" in words
    assert "backup" in words


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 2},
        {"active_intermediate": "ff"},
        {"trust_domain": "evil.org"},
        {"mac": "00"},
        {"roots": []},
    ],
    ids=str,
)
def test_a_state_that_somebody_changed_is_refused(tmp_path, made, change):
    path = tmp_path / "data/keystore/state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert "damaged" in refused(tmp_path, LocalError)


def test_28_a_key_file_under_another_authoritys_name_is_refused(tmp_path, made):
    one, two = key_files(tmp_path)
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)
    assert "damaged" in refused(tmp_path, LocalError)


def test_28_a_certificate_beside_another_key_is_refused(tmp_path, made):
    one, two = (json.loads(path.read_text()) for path in key_files(tmp_path))
    one["certificate"], one["spki"], one["id"] = two["certificate"], two["spki"], two["id"]
    key_files(tmp_path)[1].write_text(json.dumps(one))
    assert "damaged" in refused(tmp_path, LocalError)


def test_a_store_of_a_newer_version_is_refused_and_not_called_damaged(tmp_path, made):
    path = key_files(tmp_path)[0]
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    words = refused(tmp_path, ConfigError)
    assert "newer version" in words
    assert "damaged" not in words


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_key_is_refused(tmp_path, made, which):
    key_files(tmp_path)[which].unlink()
    assert "it is missing" in refused(tmp_path, LocalError)


def test_another_kek_is_told_from_damage(tmp_path, made):
    other = tmp_path / "other"
    files.write_private(other, KeyEncryptionKey.generate().file_content())
    words = refused(tmp_path, ConfigError, kek=other)
    assert "another key-encryption key" in words
    assert "--kek" in words


def test_a_lost_kek_is_refused(tmp_path, made):
    (tmp_path / "data/kek").unlink()
    words = refused(tmp_path, ConfigError)
    assert "missing" in words
    assert "no new root was made" in words


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 64, b"0" * 63 + b"\n", b"00" * 33])
def test_what_is_no_kek_is_refused(tmp_path, content):
    path = tmp_path / "kek"
    files.write_private(path, content)
    with pytest.raises(ConfigError, match="holds no key"):
        start(setting(tmp_path, kek=path))


@pytest.mark.parametrize("content", [b"0123456789abcdef" * 4, b"0123456789abcdef" * 4 + b"\n", b"\x07" * 32])
def test_an_operators_kek(tmp_path, content):
    path = tmp_path / "mykek"
    files.write_private(path, content)
    root = start(setting(tmp_path, kek=path)).authority.bundle
    assert not (tmp_path / "data/kek").exists()
    again = start(setting(tmp_path, kek=path))
    assert again.authority.bundle == root
    assert again.kek_source == f"{path}, named by the operator"


def test_the_kek_made_by_us_is_called_what_it_is(made):
    assert "protects copies of the store only" in made.kek_source


def test_another_trust_domain_is_refused(tmp_path, made):
    words = refused(tmp_path, ConfigError, trust_domain="other.org")
    assert "example.org" in words
    assert "other.org" in words


@pytest.mark.parametrize(
    "gone", [("keystore",), ("keystore", "journal"), ("keystore", "initialised"), ("keystore", "kek")]
)
def test_a_lost_store_never_becomes_a_new_root(tmp_path, made, gone):
    for name in gone:
        path = tmp_path / "data" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "no new root was made" in refused(tmp_path, LocalError)


def test_only_an_empty_directory_gets_a_new_root(tmp_path, made):
    shutil.rmtree(tmp_path / "data")
    assert reopen(tmp_path).authority.bundle != made.authority.bundle


def test_143_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file"
    files.write_private(path, b"one")
    (tmp_path / ".tmp-file").write_bytes(b"the rest of a write that broke off")
    files.write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_temporary_file_is_not_followed_out_of_the_directory(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    (tmp_path / ".tmp-file").symlink_to(outside)
    files.write_private(tmp_path / "file", b"two")
    assert outside.read_bytes() == b"mine"


def test_a_pipe_in_place_of_a_file_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="no regular file"):
        files.read_private(tmp_path / "pipe")


def test_a_sealed_key_opens_for_its_own_use_only():
    kek, key = KeyEncryptionKey.generate(), SigningKey.generate()
    sealed = key.sealed(kek, b"for this")
    assert SigningKey.unsealed(sealed, kek, b"for this").public_key == key.public_key
    for other_kek, use in ((kek, b"for that"), (KeyEncryptionKey.generate(), b"for this")):
        with pytest.raises(LocalError, match="cannot be opened"):
            SigningKey.unsealed(sealed, other_kek, use)
    assert key.sealed(kek, b"for this") != sealed, "another nonce and another data key each time"


def test_150_a_kek_shows_nothing():
    kek = KeyEncryptionKey.generate()
    assert kek.file_content().decode().strip() not in repr(kek) + kek.identifier
