"""`legation status`, from made-up answers to what people read."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from legation.render import epoch, show
from legation.report import report
from legation.settings import parse

SETTINGS = parse("", source="", base=Path("/srv"))
NOW = 1_000_000.0

PROCESS = {
    "name": "xds",
    "state": "ready",
    "pid": 7,
    "since": NOW - 65,
    "restarts": 1,
    "last_exit": "killed by SIGKILL",
    "listen": "127.0.0.1:18100",
}
XDS = {
    "ready": True,
    "change": 3,
    "source": {"path": "/srv/resources", "files": 2, "resources": 5, "error": None},
    "nodes": [
        {
            "node": "web",
            "types": [
                {"type": "CDS", "acked": "a" * 32, "current": "a" * 32, "rejection": None},
                {
                    "type": "LDS",
                    "acked": "b" * 32,
                    "current": "c" * 32,
                    "rejection": {"names": ["web_http"], "message": "no such filter", "source": "web.yaml:3"},
                },
            ],
        }
    ],
}
CERTIFICATE = {
    "node": "web",
    "name": "default",
    "spiffe_id": "spiffe://legation.local/web",
    "serial": "0123456789abcdef",
    "issued_at": NOW - 10,
    "not_after": NOW + 10,
    "rotate_at": NOW + 3,
    "acked": True,
    "acked_serial": "0123456789abcdef",
    "rotations": 4,
    "last_rejection": None,
    "error": None,
}
CA = {"ready": True, "certificates": [CERTIFICATE], "entries": {"count": 1, "error": None}, "signer": {"error": None}}


def document(**changes):
    facts = {"running": True, "supervisor": {"pid": 1, "processes": [PROCESS]}, "xds": XDS, "ca": CA} | changes
    return report(SETTINGS, **facts)


def text(found) -> str:
    console = Console(width=200, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        show(console, found, NOW)
    return captured.get()


def row(shown: str, start: str) -> list[str]:
    return next(line.split() for line in shown.splitlines() if line.startswith(start))


def test_all_well():
    found = document()
    assert (found["ok"], found["problems"]) == (True, [])
    shown = text(found)
    assert row(shown, "xds ") == [
        "xds",
        "✓",
        "ready",
        "7",
        "1m5s",
        "1",
        "127.0.0.1:18100",
        "-",
        "killed",
        "by",
        "SIGKILL",
    ]
    assert row(shown, "web   CDS") == ["web", "CDS", "✓", "aaaaaaaa", "aaaaaaaa", "-"]
    assert "… bbbbbbbb" in shown
    assert "web_http (web.yaml:3): no such filter" in shown
    assert row(shown, "web   default") == [
        "web",
        "default",
        "spiffe://legation.local/web",
        "0123456789ab",
        "10s",
        "10s",
        "3s",
        "4",
        "✓",
        "yes",
    ]
    assert "protects copies of the key store only" in shown
    assert "✓ the control plane is up" in shown


def test_issued_is_not_held():
    ca = CA | {"certificates": [CERTIFICATE | {"acked": False, "serial": None, "issued_at": None}]}
    assert row(text(document(ca=ca)), "web   default")[3:5] == ["-", "-"]
    assert "not yet" in text(document(ca=ca))


def test_what_is_wrong_is_told():
    broken = {"name": "ca", "state": "waiting", "pid": None, "since": NOW, "restarts": 3, "last_exit": "exit code 1"}
    found = document(
        supervisor={"pid": 1, "processes": [PROCESS, broken]},
        ca="/srv/run/ca.admin.sock: no such socket",
        xds=XDS | {"source": XDS["source"] | {"error": "web.yaml:3: unknown field"}},
    )
    assert found["ok"] is False
    assert found["problems"] == [
        "ca is not ready (waiting; last end: exit code 1)",
        "ca: /srv/run/ca.admin.sock: no such socket",
        "resources: web.yaml:3: unknown field (the last good state stays live)",
    ]


def test_troubles_of_the_authority_are_told():
    ca = CA | {
        "ready": False,
        "reason": "starting",
        "entries": {"error": "a.yaml:1: bad"},
        "signer": {"error": "gone"},
        "certificates": [CERTIFICATE | {"error": "refused"}],
    }
    problems = document(ca=ca)["problems"]
    assert problems[0] == "entries: a.yaml:1: bad (the last good entries stay in force)"
    assert problems[1] == "signer: gone (certificates in force stay in force)"
    assert problems[2] == "certificate spiffe://legation.local/web of web: refused"


def test_nothing_runs():
    found = document(running=False, xds="x", ca="y")
    assert found["problems"] == ["nothing runs on /srv/legation-data. Start it: legation up"]
    assert text(found).splitlines() == ["✗ nothing runs on /srv/legation-data. Start it: legation up"]


def test_moments_are_numbers_or_iso_8601():
    assert epoch(5) == 5.0
    assert epoch("1970-01-01T00:00:05Z") == 5.0
    assert epoch(None) is None
