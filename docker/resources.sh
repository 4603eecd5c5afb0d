#!/bin/sh
# The demo's files for containers: listeners on every interface, endpoints at the containers' addresses.
#   docker/resources.sh FROM TO
set -eu
mkdir -p "$2"
for file in "$1"/*.yaml "$1"/*.py; do
  sed -e 's/^  address: {socket_address: {address: 127.0.0.1,/  address: {socket_address: {address: 0.0.0.0,/' \
      -e 's/address: 127.0.0.1, port_value: 10100/address: 172.31.70.3, port_value: 10100/' \
      -e 's/address: 127.0.0.1, port_value: 10200/address: 172.31.70.4, port_value: 10200/' \
      "$file" > "$2/$(basename "$file")"
done
