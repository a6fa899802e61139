#!/usr/bin/env bash
# Builds the real programs that the demo and the tests run (the table below) from pinned Go modules,
# once per user and version, and links them into bin/. A line of progress for each.
#
#   hack/companions/build.sh            all of them, but for the Terraforms, which only make test-all needs
#   hack/companions/build.sh tofu ...   only the named ones
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(cd "$here/../.." && pwd)/bin
cache=${TERRAFORM_CONTROLLER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/terraform-controller}/companions
platform=$(go env GOOS)_$(go env GOARCH)

k8s=1.36.3
k8s_flags=""
for p in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  # Without a version the server calls itself v0.0.0-master and every version check fails.
  k8s_flags+=" -X $p.gitVersion=v$k8s -X $p.gitMajor=1 -X $p.gitMinor=36 -X $p.gitTreeState=clean -X $p.gitCommit=$k8s -X $p.buildDate=2026-07-22T18:07:38Z"
done

# mirrored NAME VERSION FILE: a provider's places in the mirror. Each engine looks under its own registry.
mirrored() { printf 'mirror/%s/hashicorp/%s ' registry.opentofu.org "$1/$2/$platform/$3" registry.terraform.io "$1/$2/$platform/$3"; }

# name | version | package | extra linker flags | names in bin/
companions() {
  cat <<T
kubernetes|$k8s|.|$k8s_flags|etcd kube-apiserver kube-controller-manager kubectl
tofu|1.12.6|github.com/opentofu/opentofu/cmd/tofu|-X github.com/opentofu/opentofu/version.dev=no|tofu
source-controller|1.9.6|github.com/fluxcd/source-controller||source-controller
provider-time|0.14.2|github.com/hashicorp/terraform-provider-time|-X main.version=0.14.2|$(mirrored time 0.14.2 terraform-provider-time_v0.14.2)
provider-random|2.0.0|github.com/terraform-providers/terraform-provider-random||$(mirrored random 2.0.0 terraform-provider-random_v2.0.0_x4)
provider-null|1.0.0|github.com/terraform-providers/terraform-provider-null||$(mirrored null 1.0.0 terraform-provider-null_v1.0.0_x4)
provider-kubernetes|1.13.4|github.com/hashicorp/terraform-provider-kubernetes||$(mirrored kubernetes 1.13.4 terraform-provider-kubernetes_v1.13.4_x4)
T
}

# Terraform: the last one under the MPL, and the newest that can be built from modules. bin/engines is a folder as ENGINES_DIR
# wants it.
terraforms() {
  cat <<T
terraform-1.5|1.5.7|github.com/hashicorp/terraform||engines/terraform_1.5.7/terraform
terraform|1.13.3|github.com/hashicorp/terraform|-X github.com/hashicorp/terraform/version.dev=no|engines/terraform_1.13.3/terraform
T
}

# key NAME VERSION PACKAGE FLAGS: changes with everything that the binary is made from.
key() {
  local sum
  sum=$({ cat "$here/$1/go.mod" "$here/$1/go.sum"; find "$here/$1" -name '*.go' -exec cat {} +; printf '%s\n' "${@:2}" "$(go env GOVERSION)" "$platform"; } | sha256sum)
  printf '%s-%s-%s' "$1" "$2" "${sum:0:8}"
}

build() { # NAME VERSION PACKAGE FLAGS OUT
  local log start=$SECONDS
  log=$(mktemp)
  printf 'build %-20s %-8s ' "$1" "$2"
  mkdir -p "$(dirname "$5")"
  if ! (cd "$here/$1" && CGO_ENABLED=0 GOFLAGS="-buildvcs=false -mod=readonly" go build -trimpath -ldflags "-s -w $4" -o "$5.tmp.$$" "$3") >"$log" 2>&1; then
    echo "failed:"; cat "$log"; rm -f "$log"; return 1
  fi
  mv "$5.tmp.$$" "$5"; rm -f "$log"
  printf '%4d s, %d MB\n' $((SECONDS - start)) $(($(stat -c %s "$5") >> 20))
}

# The CRDs of source-controller come with its module; copied, they stay when the module cache is cleaned.
source_crds() {
  local module=github.com/fluxcd/source-controller out=$bin/crds/source dir
  dir=$(cd "$here/source-controller" && go mod download "$module" && go list -mod=readonly -m -f '{{.Dir}}' "$module")
  rm -rf "$out"
  mkdir -p "$out"
  install -m 644 "$dir"/config/crd/bases/*.yaml "$out/"
}

main() {
  local name version package flags links out link
  while IFS='|' read -r name version package flags links <&3; do
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    out=$cache/$(key "$name" "$version" "$package" "$flags")/$name
    if [ -x "$out" ]; then printf 'ready %-20s %s\n' "$name" "$version"; else build "$name" "$version" "$package" "$flags" "$out"; fi
    for link in $links; do
      mkdir -p "$bin/$(dirname "$link")"
      ln -sfn "$out" "$bin/$link"
    done
    if [ "$name" = source-controller ]; then source_crds; fi
  done 3< <(companions; [ $# -eq 0 ] || terraforms)
}
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9 # two checkouts of one user build one after the other
main "$@"
