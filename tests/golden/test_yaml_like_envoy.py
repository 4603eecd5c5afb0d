"""Our reading of YAML against a real Envoy's: the same text, as metadata of a node, read by both."""

from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest
from fakes.envoy_messages import new
from google.protobuf import json_format

from legation.envoy import find_envoy
from xds.config.decode import decoder
from xds.config.yaml_text import YamlDocument

WORDS = """
yes no Yes NO n N y Y on Off true True tRue false null ~ Null NULL nUll 5 -5 +5 0 -0 00 010 08
0x10 0X10 -0x10 0xfg 2147483647 2147483648 -2147483648 -2147483649 99999999999999999999
1.5 1.0 1e3 .5 5. -1.5 1_000 1:30 2001-01-01 .inf .nan NaN Infinity text 5s 0o17 0b1
'5' "yes" 'n' '' ""
"""
SCALARS = [*WORDS.split(), "!!str 5"]
METADATA = "\n".join(f"    k{i}: {scalar}" for i, scalar in enumerate(SCALARS))
TEXT = f"""\
!ignore anchors:
  base: &base {{x: n, y: 1}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
node:
  id: yaml
  cluster: yaml
  metadata:
{METADATA}
    empty:
    list: [n, 1, 1.5, [], {{}}, ~]
    alias: *base
    1: number as a key
    yes: boolean as a key
    block: |
      5
"""


def _ask(process, address):
    """What Envoy understood, once it says that it runs."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "starting main dispatch loop" in line:
            with urllib.request.urlopen(f"http://{address.read_text()}/server_info") as answer:
                return json.load(answer)["node"]["metadata"]
    raise AssertionError("".join(lines))


@pytest.mark.envoy
def test_yaml_means_the_same_to_envoy(tmp_path):
    config, address = tmp_path / "envoy.yaml", tmp_path / "address"
    config.write_text(TEXT)
    command = [find_envoy(), "-c", config, "--admin-address-path", address, "--use-dynamic-base-id"]
    process = subprocess.Popen([*map(str, command), "--concurrency", "1"], stderr=subprocess.PIPE, text=True)
    try:
        theirs = _ask(process, address)
    finally:
        process.kill()
        process.communicate()
    ours = new("google.protobuf.Struct")
    assert decoder().decode(YamlDocument(TEXT).value["node"]["metadata"], ours) == []
    ours = json_format.MessageToDict(ours)
    names = {f"k{i}": scalar for i, scalar in enumerate(SCALARS)}
    different = {
        names.get(key, key): (ours.get(key), theirs.get(key))
        for key in ours | theirs
        if ours.get(key) != theirs.get(key)
    }
    assert different == {}
