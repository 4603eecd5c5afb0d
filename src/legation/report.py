"""What `legation status` knows, put together. Pure: answers in, a plain document out (it is also `-o json`)."""

from __future__ import annotations

import re
from typing import Any, Final

from legation.settings import Settings

KEK_NOTE: Final = (
    "The key store is encrypted with {kek}, which lies on the same disk: that protects copies of the key store only. "
    "Set `ca.kek` to a file that is kept elsewhere."
)

NAMES_SHOWN: Final = 10
"""Of one rejection; `-o json` has all."""

SENTENCE_CHARS: Final = 300
"""Of what Envoy says, from its beginning; and again of its last line."""

_DUMP = re.compile(r"goo\.gle/debug\w*")
"""How protobuf begins a message that it quotes for people."""
_FIELD = re.compile(r"\s*(?:[}\]>\s]*|[\w.\[\]/]+\s*(?::\s*(?:[\"'].*|[\w.+-]+)|[{<].*))\s*[}\]>\s]*")
"""A line of such a quote."""

Answer = dict[str, Any] | str
"""A process's status, or why there is none."""


def report(
    settings: Settings, *, running: bool, supervisor: dict[str, Any] | None, xds: Answer, ca: Answer
) -> dict[str, Any]:
    """One document. `ok` is what the exit code says."""
    processes = list((supervisor or {}).get("processes", [])) if running else []
    problems = _problems(settings, processes, running=running, xds=xds, ca=ca)
    return {
        "ok": not problems,
        "problems": problems,
        "config": settings.source or None,
        "data_dir": str(settings.data_dir),
        "trust_domain": settings.trust_domain,
        "supervisor": {"running": running, "pid": (supervisor or {}).get("pid") if running else None},
        "processes": processes,
        "xds": xds if isinstance(xds, dict) else {"error": xds},
        "ca": ca if isinstance(ca, dict) else {"error": ca},
        "notes": [] if settings.ca_kek is not None or not running else [KEK_NOTE.format(kek=settings.data_dir / "kek")],
    }


def _problems(
    settings: Settings, processes: list[dict[str, Any]], *, running: bool, xds: Answer, ca: Answer
) -> list[str]:
    if not running:
        return [f"nothing runs on {settings.data_dir}. Start it: legation up{config_option(settings)}"]
    problems = [
        f"{process['name']} is not ready ({process['state']}; last end: {process['last_exit'] or 'none'})"
        for process in processes
        if process.get("state") != "ready"
    ]
    problems += [f"{name}: {answer}" for name, answer in (("xds", xds), ("ca", ca)) if isinstance(answer, str)]
    if isinstance(xds, dict):
        problems += _xds_problems(xds)
    if isinstance(ca, dict):
        problems += _ca_problems(ca)
    return problems


def _xds_problems(xds: dict[str, Any]) -> list[str]:
    error = (xds.get("source") or {}).get("error")
    kept = " (the last good state stays live)" if xds.get("change") else ""
    problems = [f"resources: {error}{kept}"] if error else []
    if not xds.get("ready", True) and not error:
        problems.append(f"xds: {xds.get('reason') or 'not ready'}")
    if tls_error := (xds.get("tls") or {}).get("error"):
        problems.append(f"xds: TLS files refused: {tls_error} (the certificate in use stays in use)")
    problems += [
        _rejection(node["node"], row["type"], row["rejection"])
        for node in xds.get("nodes", [])
        for row in node["types"]
        if row["rejection"]
    ]
    return problems


def _rejection(node: str, kind: str, rejection: dict[str, Any]) -> str:
    """Who, what, where it is written, and Envoy's sentence."""
    names = rejection.get("names") or []
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    what = " ".join([kind, ", ".join(names[:NAMES_SHOWN]) + more]).strip()
    source = f" ({rejection['source']})" if rejection.get("source") else ""
    return plain(f"{node} rejected {what}{source}: {sentence(rejection.get('message') or 'it gave no reason')}")


def _ca_problems(ca: dict[str, Any]) -> list[str]:
    entries, signer = ca.get("entries") or {}, ca.get("signer") or {}
    problems = [f"entries: {entries['error']} (the last good entries stay in force)"] if entries.get("error") else []
    if signer.get("error"):
        problems.append(f"signer: {signer['error']} (certificates in force stay in force)")
    if not ca.get("ready", True) and not entries.get("error"):
        problems.append(f"ca: {ca.get('reason') or 'not ready'}")
    if ca.get("own_error"):
        problems.append(f"ca: a certificate of our own servers is not in use: {ca['own_error']}")
    problems += [_denied(row["node"], name, row["granted"]) for row in ca.get("denied", []) for name in row["names"]]
    for row in ca.get("certificates", []):
        problems += _certificate_problems(row)
    return problems


def _denied(node: str, name: str, granted: list[str]) -> str:
    """A secret that a node waits for in vain: most often a name that is misspelt."""
    has = f"it has: {', '.join(granted)}" if granted else "it has none"
    return plain(f"{node} asks for secret {name!r}, which no entry grants ({has})")


def _certificate_problems(row: dict[str, Any]) -> list[str]:
    who = f"certificate {row['spiffe_id']} of {row['node']}"
    problems = [f"{who}: {row['error']}"] if row.get("error") else []
    if rejection := row.get("last_rejection"):
        why = sentence(rejection["message"])
        problems.append(f"{row['node']} rejected the secret {row['name']} ({row['spiffe_id']}): {why}")
    return [plain(problem) for problem in problems]


def plain(value: object) -> str:
    """One line, in which everything that does not print is escaped.

    Names, versions and messages come from Envoys and from files: none of it may steer the terminal or forge a line of
    ours. Whatever is shown to people passes through here.
    """
    line = " ".join(str(value).split())
    return line if line.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)


def plain_lines(value: object) -> str:
    """The same, where line breaks are meant: further lines are indented, so that none passes for the first of one."""
    return "\n  ".join(plain(line) for line in str(value).splitlines())


def sentence(message: str) -> str:
    """Of an Envoy's words what says why, in one line: a refused resource that it quotes is left out."""
    head, *rest = _DUMP.split(message, maxsplit=1)
    start = plain(head)
    if not rest and len(start) <= SENTENCE_CHARS:
        return start
    lines = [line for line in message.splitlines() if line.strip()]
    last = plain(lines[-1]).lstrip(": ") if len(lines) > 1 and _FIELD.fullmatch(lines[-1]) is None else ""
    if _DUMP.search(last):
        last = ""
    return " ".join([start[:SENTENCE_CHARS].rstrip(": "), "…", last[-SENTENCE_CHARS:]]).strip()


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def config_option(settings: Settings) -> str:
    """` --config FILE` where the settings came from a file, to be pasted behind a command."""
    return f" --config {settings.source}" if settings.source else ""


def is_live(row: dict[str, Any]) -> bool:
    """Whether a node acknowledged everything of a type that it should have.

    Versions do not tell: of names the node sees a part of the type, and the type's version changes with any of it.
    """
    return bool(row["commit_acked"] >= row["commit_current"] and not row["rejection"])


def nodes(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Each node that xds or ca knows, with what both know of it."""
    known: dict[str, dict[str, Any]] = {}
    for seen in document["xds"].get("nodes", []):
        known.setdefault(seen["node"], {"node": seen["node"]}).update(xds=seen)
    for certificate in document["ca"].get("certificates", []):
        row = known.setdefault(certificate["node"], {"node": certificate["node"]})
        row.setdefault("certificates", []).append(certificate)
    return [known[name] for name in sorted(known)]
