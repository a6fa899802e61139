#!/usr/bin/env bash
# Starts bin/localcluster in the background and returns when the cluster is up, with what it says then (the path of the
# kubeconfig). `make down` stops it.
#
#   hack/up.sh FOLDER [FLAG ...]
set -euo pipefail
folder=${1:?which folder?}
mkdir -p "$(dirname "$folder")"
log=$folder.log
: >"$log"
setsid bin/localcluster up --dir "$folder" "${@:2}" >"$log" 2>&1 </dev/null &
pid=$!
until grep -q '^The cluster is up' "$log"; do
  kill -0 "$pid" 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.2
done
sed -n '/^The cluster is up/,$p' "$log"
echo "  log: $log"
