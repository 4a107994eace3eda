# What the demos share. Sourced from the project's root, behind name=LAB.
# shellcheck shell=bash disable=SC2034,SC2154

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
image=careen/installer:$version
lab() { cargo lab --name "$name" "$@"; }
say() { printf '\n\033[1m== %s\033[0m (%d s)\n' "$*" "$SECONDS"; }

finish() {
  if [ "${KEEP:-0}" = 1 ]; then
    printf '\nThe swarm stays up: cargo lab exec --name %s n1 -- bash, and try careen; cargo lab down --name %s removes it.\n' \
      "$name" "$name"
  else
    lab down
  fi
}
