"""Reference pages, from what the program itself reads: `python -m legation.reference config`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from legation.bootstrap import Facts, bootstrap, to_json
from legation.schema import KEYS, SECTIONS, Key, Kind

USAGE: Final = "usage: python -m legation.reference config|central-sds\n"

HEAD: Final = """\
# legation.yaml

<!-- Written by `python -m legation.reference config`; edit src/legation/schema.py instead. -->

`legation` reads the file that `--config` names, or `legation.yaml` in the current directory. Without a file the
defaults below hold. Everything is checked before anything is started; an unknown key is refused and the nearest known
one named.

- **Paths** are relative to the file's directory (without a file, to the current one); `~` is the home directory.
- **Durations** are whole numbers with the units d, h, m, s: `20s`, `7d`, `1h30m`.
- **Addresses** are `HOST:PORT`; `0.0.0.0` is every interface, IPv6 stands in brackets.
- `null` switches off what is marked *optional*.
"""

EXAMPLE: Final = """\
## Example

```yaml
trust_domain: prod.example.com
data_dir: /var/lib/legation
resources: /etc/legation/resources
entries: /etc/legation/entries
server_names: [control.example.com, 10.0.0.5]
xds: {listen: "0.0.0.0:18100"}
sds: {listen: "0.0.0.0:18101"}
ca:
  leaf_ttl: 1h
  kek: /etc/legation/kek
log: {level: info, format: json}
```
"""


def config_page() -> str:
    """The page about `legation.yaml`."""
    parts = [HEAD, "## Top level\n", _table([key for key in KEYS if "." not in key.name])]
    for section, doc in SECTIONS.items():
        keys = [key for key in KEYS if key.name.startswith(section + ".")]
        parts += [f"## {section}\n\n{doc}\n", _table(keys)]
    return "\n".join([*parts, EXAMPLE])


def _table(keys: list[Key]) -> str:
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for key in keys:
        kind = key.kind.value + (", optional" if key.optional else "")
        rows.append(f"| `{key.name}` | {kind} | {_default(key)} | {key.doc} |")
    return "\n".join(rows) + "\n"


def _default(key: Key) -> str:
    if key.default is None:
        return "not set"
    if key.kind is Kind.NAMES:
        return "`[]`"
    return f"`{key.default}`"


def central_bootstrap() -> str:
    """A node whose secrets come from the central SDS."""
    facts = Facts(
        node="web",
        node_dir=Path("/var/lib/legation/nodes/web"),
        trust_domain="prod.example.com",
        xds_address="control.example.com:18100",
        sds_address="control.example.com:18101",
        admin_port=9901,
    )
    return to_json(bootstrap(facts))


PAGES: Final[dict[str, Callable[[], str]]] = {
    "docs/reference/config.md": config_page,
    "envoy-configs/bootstrap/central-sds.json": central_bootstrap,
}
"""File in the source tree → what it holds."""

NAMES: Final = {Path(file).stem: file for file in PAGES}


def main(arguments: list[str]) -> int:
    """Print the page of that name."""
    if len(arguments) != 1 or arguments[0] not in NAMES:
        sys.stderr.write(USAGE)
        return 2
    sys.stdout.write(PAGES[NAMES[arguments[0]]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
