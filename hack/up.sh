#!/usr/bin/env bash
# Starts bin/localcluster in the background, shows what it says until the cluster is up, and returns. `make down` stops it.
#
#   hack/up.sh FOLDER [FLAG ...]
set -euo pipefail
folder=${1:?which folder?}
mkdir -p "$(dirname "$folder")"
log=$folder.log
: >"$log"
setsid bin/localcluster up --dir "$folder" "${@:2}" >"$log" 2>&1 </dev/null &
pid=$!
tail -n +1 -f --pid="$pid" "$log" &
tail=$!
up() { grep -q '^The cluster is up' "$log"; }
until up; do
  kill -0 "$pid" 2>/dev/null || { wait "$tail"; exit 1; }
  sleep 0.2
done
kill "$tail"
echo "  log: $log"
