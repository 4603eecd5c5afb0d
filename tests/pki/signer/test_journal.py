from __future__ import annotations

import errno
import json
import os

import pytest
from fakes.ca_authority import START, Wall, leaf_request, setting, start

from ca.errors import ConfigError, LocalError
from ca.signer import journal as module
from ca.signer.journal import Journal


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path / "journal", Wall())
    yield made
    made.close()


def segment(tmp_path):
    return tmp_path / "journal/00000001.jsonl"


def test_154_a_row_says_who_what_when_until_when_and_by_whom(signer):
    issued = signer.leaf(node="web-7", request_id="r-1")
    intent, result = [row for row in signer.journal.rows() if row.get("kind") == "workload"]
    assert intent == {
        "time": START.isoformat(timespec="milliseconds"),
        "event": "intent",
        "kind": "workload",
        "spiffe_id": "spiffe://example.org/web",
        "node": "web-7",
        "request_id": "r-1",
        "serial": f"{issued.certificate.serial_number:x}",
        "spki": issued.intent.order.spki_sha256,
        "issuer": signer.authority.authorities[1].id,
        "issued_at": int(START.timestamp()),
        "not_before": int(START.timestamp()) - 60,
        "not_after": int(START.timestamp()) + 3600,
        "truncated": False,
    }
    assert result["event"] == "issued"
    assert result["serial"] == intent["serial"]
    assert result["fingerprint"] == module.fingerprint(issued.chain_der[0])


def test_58_a_batch_costs_two_writes(signer, monkeypatch):
    calls = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (calls.append(descriptor), real(descriptor)))
    signer.verbs.sign([leaf_request() for _ in range(10)], signer.wall())
    assert len(calls) == 2


@pytest.mark.parametrize("rest", [b'{"event":"int', b"{", b"\xff\xfe", b'{"event":"x"}'])
def test_a_torn_last_line_is_cut_off(tmp_path, journal, rest):
    journal.event("one")
    whole = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(whole + rest)
    again = Journal(tmp_path / "journal", Wall())
    assert [row["event"] for row in again.rows()] == ["one"]
    assert segment(tmp_path).read_bytes() == whole + rest, "reading changes nothing"
    again.event("two")
    assert segment(tmp_path).read_bytes().startswith(whole + b'{"time"')
    assert [row["event"] for row in again.rows()] == ["one", "two"]
    again.close()


def test_a_file_of_one_torn_line_is_empty_afterwards(tmp_path, journal):
    segment(tmp_path).touch(0o600)
    segment(tmp_path).write_bytes(b"x" * 200_000)
    assert list(journal.rows()) == []
    journal.event("one")
    assert [row["event"] for row in journal.rows()] == ["one"]


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path, journal):
    journal.event("one")
    with segment(tmp_path).open("ab") as file:
        file.write(b"garbage\n")
    journal.event("two")
    with pytest.raises(LocalError, match=r"00000001.jsonl:2 is no row"):
        list(journal.rows())


def test_a_write_that_fails_half_way_is_taken_back(tmp_path, journal, monkeypatch):
    journal.event("one")
    whole = segment(tmp_path).read_bytes()
    real = os.write

    def full(descriptor, data):
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data)[: len(data) - 10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(LocalError, match="No space left"):
            journal.event("two")
    assert segment(tmp_path).read_bytes() == whole
    journal.event("three")
    assert [row["event"] for row in journal.rows()] == ["one", "three"]


def test_segments_are_bounded_in_size_and_number(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEGMENTS_MAX", 3)
    journal = Journal(tmp_path / "journal", Wall(), segment_bytes_max=200)
    for number in range(30):
        journal.event("row", number=number)
    names = sorted(path.name for path in (tmp_path / "journal").iterdir())
    assert len(names) == 3
    assert names[-1] > "00000005.jsonl"
    numbers = [row["number"] for row in journal.rows()]
    assert numbers == list(range(numbers[0], 30))
    journal.close()
    again = Journal(tmp_path / "journal", Wall(), segment_bytes_max=200)
    again.event("row", number=30)
    assert [row["number"] for row in again.rows()][-1] == 30
    again.close()


def test_the_journal_has_no_line_break_inside_a_row(signer):
    signer.verbs.sign([leaf_request(request_id="a\nb\u2028c")], signer.wall())
    lines = (signer.journal.directory / "00000001.jsonl").read_text().splitlines()
    ids = [row["request_id"] for row in map(json.loads, lines) if row.get("kind") == "workload" and "request_id" in row]
    assert ids == ["a\nb\u2028c"]


def test_a_journal_that_others_can_read_is_refused(tmp_path, journal):
    journal.event("one")
    segment(tmp_path).chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 0600"):
        list(Journal(tmp_path / "journal", Wall()).rows())
    with pytest.raises(ConfigError, match="chmod 0600"):
        Journal(tmp_path / "journal", Wall()).event("two")


def test_a_start_reads_a_bounded_part_only(tmp_path):
    signer = start(setting(tmp_path))
    assert module.READ_SEGMENTS * module.SEGMENT_BYTES_MAX <= 8 * 1024 * 1024
    signer.close()
