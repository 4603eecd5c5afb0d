#!/bin/bash
# Envoy as the main process of a container. By itself it ends at once on SIGTERM; here it drains for DRAIN_S (5) seconds first.
#   envoy.sh OPTION…   run Envoy
#   envoy.sh ready     ask whether it is ready (the health check)
# Both use Envoy's admin interface at 127.0.0.1:9901, as `legation bootstrap --admin-port 9901` writes it.
set -u
drain_s=${DRAIN_S:-5}

ask() {  # METHOD PATH: true if the answer is 200
  exec 3<> /dev/tcp/127.0.0.1/9901 || return
  printf '%s %s HTTP/1.1\r\nHost: envoy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
  local status=
  read -r -t 1 status <&3
  exec 3>&-
  [[ $status == *' 200 '* ]]
} 2> /dev/null

drain() {  # each answer says that its connection closes; after that time the rest is cut
  ask POST '/drain_listeners?graceful' && sleep "$drain_s"
  kill -TERM "$envoy"
}

if [[ ${1-} == ready ]]; then
  ask GET /ready
  exit
fi
envoy --disable-hot-restart --drain-time-s "$drain_s" --drain-strategy immediate "$@" &
envoy=$!
trap drain TERM INT
wait "$envoy"
code=$?
while kill -0 "$envoy" 2> /dev/null; do  # `wait` also returns for a signal
  wait "$envoy"
  code=$?
done
exit "$code"
