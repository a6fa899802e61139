#!/bin/sh
# Writes the plans of testdata/plans anew: generate.sh PATH_OF_TOFU. Ids and times differ in each run, so the golden
# files have to follow: go test ./internal/plan -update.
set -eu

tofu=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset TF_CLI_CONFIG_FILE
export TF_IN_AUTOMATION=1
mkdir -p "$here/plans"

# use NAME: take the configuration of that name.
use() {
	cp "$here/config/$1/main.tf" "$work/main.tf"
	"$tofu" -chdir="$work" init -no-color >/dev/null
}

# save NAME [ARGUMENT...]: plan, and keep the plan's JSON under that name.
save() {
	name=$1
	shift
	"$tofu" -chdir="$work" plan -no-color -out=plan "$@" >/dev/null
	"$tofu" -chdir="$work" show -json plan >"$here/plans/$name.json"
}

apply() {
	"$tofu" -chdir="$work" apply -no-color plan >/dev/null
}

forget_all() {
	rm -f "$work"/terraform.tfstate*
}

echo '{"version":4,"terraform_version":"1.12.6","serial":1,"lineage":"none","outputs":{},"resources":[]}' >"$work/remote.json"
use create
save create
apply
use change
save change
apply
save unchanged
"$tofu" -chdir="$work" taint -no-color terraform_data.moved_on >/dev/null
save tainted
save destroy -destroy
forget_all

use outputs
save outputs
forget_all

use cbd
"$tofu" -chdir="$work" apply -no-color -auto-approve >/dev/null
save create_first -var n=2
forget_all

# What a replacement leaves behind whose last step failed: the old object, deposed.
cat >"$work/terraform.tfstate" <<'EOF'
{"version": 4, "terraform_version": "1.12.6", "serial": 3, "lineage": "none", "outputs": {}, "resources": [{
  "mode": "managed", "type": "terraform_data", "name": "both",
  "provider": "provider[\"terraform.io/builtin/terraform\"]",
  "instances": [
    {"schema_version": 0, "attributes": {"id": "new", "input": {"value": "n is 1", "type": "string"},
      "output": {"value": "n is 1", "type": "string"}, "triggers_replace": {"value": 1, "type": "number"}}},
    {"deposed": "0a1b2c3d", "schema_version": 0, "attributes": {"id": "old", "input": {"value": "n is 0", "type": "string"},
      "output": {"value": "n is 0", "type": "string"}, "triggers_replace": {"value": 0, "type": "number"}}}
  ]}]}
EOF
save deposed
