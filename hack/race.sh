#!/usr/bin/env bash
# race.sh [GO TEST OPTIONS]: tests with the race detector, which needs cgo and so a C compiler. internal/decide is left out: it is pure, nothing in it
# runs beside anything, and its walk through all facts would take a quarter of an hour.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compiler=$(go env CC)
if ! command -v "${compiler%% *}" >/dev/null; then
  echo "the race detector needs a C compiler, and $compiler is not there: install one (apt-get install gcc libc6-dev), or name it in CC" >&2
  exit 1
fi
# shellcheck disable=SC2046
CGO_ENABLED=1 go test -race "$@" $(go list ./internal/... ./runner/... ./controllers/... | grep -v '/internal/decide$')
