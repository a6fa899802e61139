#!/usr/bin/env bash
# Fails when a generated file, a go.mod or the formatting is not what the tools make of the sources. Changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
bad=0

# same WHAT COMMITTED FRESH REMEDY
same() {
  if diff -ru "$2" "$3"; then echo "verified $1"; else echo "$1 is stale: $4" >&2; bad=1; fi
}

controller_gen=(go tool -modfile=../hack/tools/controller-gen/go.mod controller-gen)
mkdir "$fresh/crd"
(cd api && "${controller_gen[@]}" crd paths=./... output:crd:dir="$fresh/crd")
same "config/crd/bases" config/crd/bases "$fresh/crd" "make generate"
for package in api/*/zz_generated.deepcopy.go; do
  version=$(basename "$(dirname "$package")")
  (cd api && "${controller_gen[@]}" object paths="./$version" output:object:dir="$fresh/$version")
  same "$package" "$package" "$fresh/$version/zz_generated.deepcopy.go" "make generate"
done

if go run ./tests/compat/document "$fresh/compatibility.md"; then
  same docs/compatibility.md docs/compatibility.md "$fresh/compatibility.md" "make generate"
else
  echo "docs/compatibility.md can't be made: tests/compat/rows and the tests do not agree" >&2; bad=1
fi

for module in . api; do
  if (cd "$module" && go mod tidy -diff); then echo "verified $module/go.mod"; else
    echo "$module/go.mod is stale: (cd $module && go mod tidy)" >&2; bad=1
  fi
done

unformatted=$(git ls-files --cached --others --exclude-standard '*.go' | while read -r file; do if [ -e "$file" ]; then echo "$file"; fi; done | xargs gofmt -l)
if [ -n "$unformatted" ]; then echo "not formatted, make fmt:" >&2; echo "$unformatted" >&2; bad=1; else echo "verified formatting"; fi
exit $bad
