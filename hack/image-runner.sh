#!/usr/bin/env bash
# Assembles the runner image as a folder: engine, runner, provider mirror and CLI configuration. The local node runs
# it as it is (image.json is its configuration), the Dockerfile copies it.
#
#   hack/image-runner.sh FOLDER            with bin/tofu
#   hack/image-runner.sh FOLDER ENGINE     with that program, a tofu or a terraform
set -euo pipefail
umask 022
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:?which folder?}
engine=${2:-$root/bin/tofu}
new=$folder.new.$$
share=usr/local/share/terraform

for file in "$engine" "$root/bin/terraform-runner" "$root/bin/mirror"; do
  [ -e "$file" ] || { echo "$file is missing: make companions build" >&2; exit 1; }
done
trap 'rm -rf "$new"' EXIT
mkdir -p "$new"/usr/local/bin "$new/$share" "$new"/home/runner
install -d -m 1777 "$new/tmp"

# take SOURCE TARGET: the files themselves, not links into the per-user cache, which the image's user can't read. A
# hard link costs nothing; over file systems it has to be a copy.
take() { cp -RLl "$1" "$2" 2>/dev/null || { rm -rf "$2"; cp -RL "$1" "$2"; }; }
take "$engine" "$new/usr/local/bin/$(basename "$engine")"
take "$root/bin/terraform-runner" "$new/usr/local/bin/terraform-runner"
take "$root/bin/mirror" "$new/$share/providers"

# /home/runner is a volume in the pod, so the configuration is not there but named by the environment.
cat >"$new/$share/.tofurc" <<T
disable_checkpoint = true
provider_installation {
  filesystem_mirror {
    path    = "/$share/providers"
    include = ["*/*/*"]
  }
}
T
# ssh wants to know its user by name, and where that user is at home.
mkdir -p "$new/etc"
cat >"$new/etc/passwd" <<T
root:x:0:0:root:/root:/bin/sh
runner:x:65532:65532::/home/runner:/bin/sh
T
cat >"$new/image.json" <<T
{
  "entrypoint": ["/usr/local/bin/terraform-runner"],
  "env": [
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/home/runner",
    "TF_CLI_CONFIG_FILE=/$share/.tofurc"
  ],
  "user": 65532,
  "workingDir": "/home/runner"
}
T
if [ "$(id -u)" = 0 ]; then chown 65532:65532 "$new/home/runner"; fi
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
mv "$new" "$folder"
echo "ready $folder ($(du -sm "$folder" | cut -f1) MB)"
