#!/usr/bin/env bash
# fuzz.sh TIME [NAME]: runs each fuzz target that long, or those whose names have NAME in them. Stops at the first that finds something; what it found is then in the
# package's testdata/fuzz, to be committed with the remedy. The seeds alone are tests of `make test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=$1 name=${2:-}
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r package; do
  grep -hoE '^func Fuzz\w+' "$package"/*_test.go | sed 's/^func //' | sort | { grep -- "$name" || true; } | while read -r target; do
    echo "fuzz $package $target $time"
    go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel 2 </dev/null | grep -vE '^(fuzz: elapsed|PASS)' || exit 1
  done
done
