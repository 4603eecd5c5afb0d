"""`legation status`, from made-up answers to what people read."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from legation.demo.tally import Handshakes, Tally
from legation.demo.view import live
from legation.render import epoch, show
from legation.report import SENTENCE_CHARS, count, report, sentence
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


def kind(name: str, acked: str, current: str, commits: tuple[int, int], rejection=None) -> dict:
    return {
        "type": name,
        "acked": acked * 32,
        "current": current * 32,
        "commit_acked": commits[0],
        "commit_current": commits[1],
        "rejection": rejection,
    }


XDS = {
    "ready": True,
    "change": 3,
    "source": {"path": "/srv/resources", "files": 2, "resources": 5, "error": None},
    "tls": {"rotations": 0, "error": None},
    "nodes": [{"node": "web", "types": [kind("CDS", "a", "a", (3, 3)), kind("EDS", "b", "c", (3, 3))]}],
}
REJECTION = {"names": ["web_http"], "message": "no such\n filter", "source": "web.yaml:3"}
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
    "paused": False,
    "last_rejection": None,
    "error": None,
}
CA = {"ready": True, "certificates": [CERTIFICATE], "entries": {"count": 1, "error": None}, "signer": {"error": None}}


def document(**changes):
    facts = {"running": True, "supervisor": {"pid": 1, "processes": [PROCESS]}, "xds": XDS, "ca": CA} | changes
    return report(SETTINGS, **facts)


def text(found, width: int = 200) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
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
    assert row(shown, "web   CDS") == ["web", "CDS", "✓", "aaaaaaaa", "aaaaaaaa"]
    assert "✗" not in shown
    assert "…" not in shown
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


def of_types(*types: dict) -> dict:
    return XDS | {"nodes": [{"node": "web", "types": list(types)}]}


def test_what_is_not_acknowledged_yet_is_no_problem_and_not_live():
    found = document(xds=of_types(kind("LDS", "b", "c", (2, 3))))
    assert found["ok"] is True
    assert row(text(found), "web   LDS") == ["web", "LDS", "…", "bbbbbbbb", "cccccccc"]


def test_a_node_that_needs_nothing_of_what_changed_is_up_to_date():
    """The version of a type changes with any of its resources; a node that asked for others has what it should have."""
    assert row(text(document(xds=of_types(kind("RDS", "b", "c", (3, 3))))), "web   RDS")[2:] == ["✓", *["bbbbbbbb"] * 2]


def test_a_rejection_is_a_problem_that_names_everything():
    found = document(xds=of_types(kind("LDS", "b", "c", (2, 3), REJECTION)))
    assert found["ok"] is False
    assert found["problems"] == ["web rejected LDS web_http (web.yaml:3): no such filter"]
    shown = text(found, 80)
    assert row(shown, "web   LDS") == ["web", "LDS", "✗", "bbbbbbbb", "cccccccc"]
    assert "the control plane is up" not in shown


def test_a_rejection_of_many_is_cut_and_says_so_and_writes_no_escapes():
    names = [f"cluster-{number}" for number in range(1000)]
    rejection = {"names": names, "message": "\x1b[2J", "source": ""}
    (problem,) = document(xds=of_types(kind("CDS", "b", "c", (2, 3), rejection)))["problems"]
    assert problem.startswith("web rejected CDS cluster-0, cluster-1,")
    assert problem.endswith("cluster-9 and 990 more: \\x1b[2J")


def test_a_listener_without_a_fresh_certificate_is_a_problem():
    found = document(xds=XDS | {"tls": {"rotations": 1, "error": "key and certificate differ"}})
    assert found["problems"] == [
        "xds: TLS files refused: key and certificate differ (the certificate in use stays in use)"
    ]
    assert document(ca=CA | {"own_error": "disk full"})["problems"] == [
        "ca: a certificate of our own servers is not in use: disk full"
    ]


@pytest.mark.parametrize(
    ("change", "problem", "held"),
    [
        (
            {"last_rejection": {"code": 3, "message": "Failed to load private key"}},
            "web rejected the secret default (spiffe://legation.local/web): Failed to load private key",
            "✗ rejected",
        ),
        ({"error": "busy"}, "certificate spiffe://legation.local/web of web: busy", "✓ yes"),
    ],
)
def test_a_certificate_that_is_not_renewed_or_not_taken_is_a_problem(change, problem, held):
    found = document(ca=CA | {"certificates": [CERTIFICATE | change]})
    assert (found["ok"], found["problems"]) == (False, [problem])
    assert held in text(found)


def test_nothing_is_broken_or_wrapped_on_80_columns():
    signer = {
        **PROCESS,
        "name": "signer",
        "listen": str(SETTINGS.signer_socket),
        "http": "127.0.0.1:18110",
        "pid": 1234567,
    }
    long = CERTIFICATE | {"spiffe_id": "spiffe://legation.local/" + "region/zone/service/" * 4, "name": "x" * 99}
    found = document(supervisor={"pid": 1, "processes": [PROCESS, signer]}, ca=CA | {"certificates": [long]})
    tables = text(found, 80).partition("The key store")[0].splitlines()
    assert [len(line) for line in tables if len(line) > 80] == []
    assert len([line for line in tables if line.strip()]) == 12, "a line for each title, head and row"
    assert row(text(found, 80), "signer")[6] == "run/signer.sock"


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


HOSTILE = (
    "\x1b]0;pwned\x07\x1b[2J",
    "x.[/red]",
    "[link=https://evil.example]x[/link]",
    "\x9b31m\u202e\u2066\x7f\x00\x08:bomb:",
    "a\r\n✓ the control plane is up",
    "\ud800 {x} %s \\",
)


def poisoned(value, text: str):
    """The same document, with the text in the place of every string."""
    if isinstance(value, dict):
        return {key: poisoned(child, text) for key, child in value.items()}
    if isinstance(value, list):
        return [poisoned(child, text) for child in value]
    return text if isinstance(value, str) else value


WHOLE = {
    "xds": of_types(kind("LDS", "b", "c", (2, 3), REJECTION | {"names": ["x"]}), kind("CDS", "a", "a", (3, 3)))
    | {"reason": "x"},
    "ca": CA
    | {
        "reason": "x",
        "own_error": "x",
        "denied": [{"node": "web", "names": ["x"], "granted": ["y"]}],
        "certificates": [
            CERTIFICATE | {"last_rejection": {"code": 3, "message": "x"}},
            CERTIFICATE | {"node": "another"},
        ],
    },
}


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_word_of_others_reaches_the_terminal_as_anything_but_text(hostile, ready, terminal):
    facts = {name: poisoned(found | {"ready": ready}, hostile) for name, found in WHOLE.items()}
    found = document(supervisor={"pid": 1, "processes": [poisoned(PROCESS, hostile)]}, **facts)
    console = Console(width=200, force_terminal=terminal, no_color=True, color_system=None)
    with console.capture() as captured:
        show(console, found, NOW)
    said = captured.get()
    assert [char for char in said if not char.isprintable() and char != "\n"] == []
    assert "✓ the control plane is up" not in said.splitlines()
    answers = {"xds": facts["xds"], "ca": facts["ca"]}
    with console.capture() as captured:
        console.print(live(Tally(envoys={hostile: Handshakes()}), answers, [poisoned(PROCESS, hostile)], NOW, NOW))
    assert [char for char in captured.get() if not char.isprintable() and char != "\n"] == []


def test_markup_is_shown_as_it_was_written():
    facts = poisoned(XDS, "[link=https://evil.example]x[/link]")
    assert "[link=https://evil.example]x[/link]" in text(document(xds=facts))


DUMP = 'goo.gle/debugproto\nname: "web"\nlb_policy: 77\nhealth_checks {\n  timeout {\n  }\n}\n'


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no such\n filter", "no such filter"),
        ("failed (LbPolicy: [77]): " + DUMP, "failed (LbPolicy: [77]) …"),
        ("failed (LbPolicy: [77]): " + DUMP.replace("\n", " "), "failed (LbPolicy: [77]) …"),
        ("failed: " + DUMP + "the policy is unknown", "failed … the policy is unknown"),
        (DUMP + ": Proto constraint validation failed (x)\n", "… Proto constraint validation failed (x)"),
        ("Invalid duration: goo.gle/debugstr   \nseconds: -5\n\n", "Invalid duration …"),
        ("w" * 999, "w" * SENTENCE_CHARS + " …"),
        ("w" * 999 + "\nwhy", "w" * SENTENCE_CHARS + " … why"),
    ],
)
def test_of_what_envoy_says_the_sentence_is_shown_and_not_the_resource_it_quotes(message, shown):
    assert sentence(message) == shown
    rejection = REJECTION | {"message": message}
    (problem,) = document(xds=of_types(kind("LDS", "b", "c", (2, 3), rejection)))["problems"]
    assert problem == f"web rejected LDS web_http (web.yaml:3): {shown}"


def test_a_secret_that_nobody_grants_is_told_with_what_is_granted():
    denied = [{"node": "web", "names": ["defualt"], "granted": ["default", "ROOTCA"]}]
    found = document(ca=CA | {"denied": denied})
    assert found["problems"] == ["web asks for secret 'defualt', which no entry grants (it has: default, ROOTCA)"]
    denied[0]["granted"] = []
    assert document(ca=CA | {"denied": denied})["problems"][0].endswith("no entry grants (it has none)")


def test_a_certificate_without_an_entry_is_withdrawn():
    found = document(ca=CA | {"certificates": [CERTIFICATE | {"withdrawn": True, "rotate_at": None}]})
    assert found["ok"] is True
    assert row(text(found), "web   default")[6:] == ["-", "4", "…", "withdrawn"]


def test_there_is_no_last_good_state_before_the_first():
    error = {"source": XDS["source"] | {"error": "web.yaml:3: unknown field"}}
    assert document(xds=XDS | error | {"change": 0})["problems"] == ["resources: web.yaml:3: unknown field"]


def test_one_is_not_many():
    assert [count(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


def test_moments_are_numbers_or_iso_8601():
    assert epoch(5) == 5.0
    assert epoch("1970-01-01T00:00:05Z") == 5.0
    assert epoch(None) is None
    assert epoch("soon") is None
