#!/bin/sh
# Enrols the demo's nodes and writes their bootstraps: once, beside the running control plane.
set -eu
config=/etc/legation/legation.yaml
for node in web api; do
  directory=/var/lib/legation/nodes/$node
  test -e "$directory/current" || legation enroll --config $config --node $node
  legation bootstrap --config $config --node $node --admin-port 9901 \
    --xds-address control-plane:18100 --sds-address control-plane:18101 > "$directory/bootstrap.new"
  mv "$directory/bootstrap.new" "$directory/bootstrap.json"
done
