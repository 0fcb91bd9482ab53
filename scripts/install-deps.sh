#!/usr/bin/env bash
# Installs what seawall's own commands need on Debian and Ubuntu; quick and silent where all of it is there.
#
#   scripts/install-deps.sh build       a C compiler and cmake
#   scripts/install-deps.sh quickstart  the above, a registry to stand behind seawall, skopeo, parts of a tiny image
#   scripts/install-deps.sh lint        build, and cargo-deny
#   scripts/install-deps.sh bench       build, the peers that seawall is measured beside, and what puts load on them
#   scripts/install-deps.sh test        everything the tests start: registries, clients, proxies, PostgreSQL
#
# Nothing that is installed gets started. Tools that no distribution packages go to target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly distribution_3=v3.1.2
readonly cargo_deny=0.20.2
readonly management_sdk=15.0.0
readonly registry_sdk=1.2.0
readonly tools=$PWD/target/tools
readonly not_checked=$tools/not-checked

# What provides each command, as `command:package`.
readonly build_parts="cc:gcc cc:libc6-dev cmake:cmake make:make git:git"
readonly quickstart_parts="docker-registry:docker-registry skopeo:skopeo
  busybox:busybox-static curl:curl jq:jq"
readonly bench_parts="docker-registry:docker-registry nginx:nginx-light haproxy:haproxy htpasswd:apache2-utils
  curl:curl wrk:wrk h2load:nghttp2-client"
readonly test_parts="htpasswd:apache2-utils podman:podman crun:crun conmon:conmon buildah:buildah
  containerd:containerd ctr:containerd dockerd:docker.io umoci:umoci
  haproxy:haproxy nginx:nginx-light ip:iproute2 initdb:postgresql python3:python3 node:nodejs npm:npm"
# Packages that only some releases have, or need, apart from those above.
readonly optional_parts="docker:docker-cli /usr/lib/podman/netavark:netavark"

say() { printf 'deps: %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "root is needed to run: $*" >&2
    exit 1
  fi
}

# True when a command is there; also where users often have no path to, and where Debian has PostgreSQL's programs.
have() {
  local postgresql
  postgresql=$(printf '%s:' /usr/lib/postgresql/*/bin)
  PATH=$PATH:/usr/sbin:/sbin:$postgresql command -v "$1" >/dev/null
}

missing_packages() {
  local part
  for part in "$@"; do
    have "${part%%:*}" || printf '%s\n' "${part#*:}"
  done | sort -u
}

# Debian's docker-registry and docker.io would start on installation, the registry on all interfaces and without a
# password: a policy that refuses every start is put in place for as long as apt runs, and what came new is disabled.
install_packages() {
  local policy=/usr/sbin/policy-rc.d placed= package
  say "installing: $*"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    placed=yes
  fi
  local status=0
  {
    as_root apt-get -o DPkg::Lock::Timeout=300 update -q >/dev/null &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q \
        --no-install-recommends "$@" </dev/null
  } || status=$?
  if [ -n "$placed" ]; then as_root rm -f "$policy"; fi
  [ "$status" -eq 0 ] || { say "apt-get failed with status $status" >&2; exit "$status"; }
  if [ -d /run/systemd/system ]; then
    for package in docker-registry:docker-registry docker.io:docker haproxy:haproxy nginx-light:nginx postgresql:postgresql; do
      case " $* " in *" ${package%%:*} "*) as_root systemctl disable --quiet "${package#*:}" || true ;; esac
    done
  fi
}

# Those packages that this release has.
known() {
  local package
  for package in "$@"; do
    if apt-cache show "$package" >/dev/null 2>&1; then echo "$package"; fi
  done
}

packages() {
  local wanted
  mapfile -t wanted < <(missing_packages "$@")
  if [ "${#wanted[@]}" -gt 0 ]; then install_packages "${wanted[@]}"; fi
}

# After `packages`, which has brought apt's lists up to date if anything was missing.
optional_packages() {
  local wanted
  mapfile -t wanted < <(known $(missing_packages "$@"))
  if [ "${#wanted[@]}" -gt 0 ]; then install_packages "${wanted[@]}"; fi
}

# Distribution 3.x is in no Debian or Ubuntu release. Where Go is missing the tests that need it say so by name.
distribution() {
  mkdir -p "$tools"
  rm -f "$not_checked"
  if [ -x "$tools/registry" ] && [ "$(cat "$tools/registry.version" 2>/dev/null)" = "$distribution_3" ]; then return; fi
  if ! command -v go >/dev/null; then
    echo "not checked: Distribution $distribution_3 as upstream (Go is needed to install it)" | tee "$not_checked"
    return
  fi
  say "installing Distribution $distribution_3 by Go (about a minute)"
  GOBIN=$tools GOFLAGS=-mod=mod go install "github.com/distribution/distribution/v3/cmd/registry@$distribution_3"
  echo "$distribution_3" >"$tools/registry.version"
}

# Clients and a provider that no release has, each pinned by the go.mod and go.sum of its folder in tests/support.
go_programs() {
  local program package from
  while read -r program package; do
    from=tests/support/$program
    if [ -x "$tools/$program" ] && cat "$from"/go.* "$from"/*.go | cmp -s - "$tools/$program.source"; then continue; fi
    if ! command -v go >/dev/null; then
      echo "not checked: $program (Go is needed to install it)" | tee -a "$not_checked"
      continue
    fi
    say "building $program by Go (up to three minutes)"
    (cd "$from" && CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$tools/$program" "$package")
    cat "$from"/go.* "$from"/*.go >"$tools/$program.source"
  done <<<"dex .
oras oras.land/oras/cmd/oras
helm helm.sh/helm/v3/cmd/helm"
}

# Microsoft's own clients, of the management API and of registries, in a virtual environment, with what they need.
microsoft_clients() {
  local venv=$tools/venv versions="$management_sdk $registry_sdk"
  if [ "$(cat "$venv/sdk.version" 2>/dev/null)" = "$versions" ]; then return; fi
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then install_packages python3-venv; fi
  say "installing azure-mgmt-containerregistry $management_sdk and azure-containerregistry $registry_sdk by pip"
  if python3 -m venv --clear "$venv" &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check "azure-mgmt-containerregistry==$management_sdk" \
      "azure-containerregistry==$registry_sdk" azure-core; then
    echo "$versions" >"$venv/sdk.version"
  else
    echo "not checked: Microsoft's SDKs (pip could not install them)" | tee -a "$not_checked"
  fi
}

# A certified OpenID provider, of the versions in the committed lock file.
identity_provider() {
  local folder=$tools/idp from=tests/support/idp
  if cmp -s "$from/package-lock.json" "$folder/package-lock.json" && [ -d "$folder/node_modules/oidc-provider" ]; then return; fi
  say "installing oidc-provider by npm"
  mkdir -p "$folder"
  cp "$from/package.json" "$from/package-lock.json" "$folder/"
  if ! npm ci --prefix "$folder" --no-audit --no-fund --silent; then
    rm -f "$folder/package-lock.json"
    echo "not checked: oidc-provider (npm could not install it)" | tee -a "$not_checked"
  fi
}

deny() {
  if [ -x "$tools/bin/cargo-deny" ] || [ -n "${CARGO_DENY:-}" ] || command -v cargo-deny >/dev/null; then return; fi
  say "installing cargo-deny $cargo_deny by cargo (some minutes, once)"
  cargo install --locked --quiet --root "$tools" "cargo-deny@$cargo_deny"
}

case "${1:-}" in
  build) packages $build_parts ;;
  quickstart) packages $build_parts $quickstart_parts ;;
  lint) packages $build_parts; deny ;;
  bench) packages $build_parts $bench_parts ;;
  test) packages $build_parts $quickstart_parts $test_parts; optional_packages $optional_parts; distribution; go_programs; microsoft_clients; identity_provider ;;
  all) "$0" test; "$0" bench; "$0" lint ;;
  *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
