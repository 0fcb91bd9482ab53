#!/usr/bin/env bash
# A registry with seawall in front of it, on this machine's loopback only; everything it makes lies in ./.seawall.
#
# Builds seawall, starts Debian's docker-registry and seawall, pushes and pulls a tiny image as a token, shows a push
# that is refused, makes and disables a token, and serves until Ctrl-C.
#
#   ONESHOT=1  stop after the check, exit 0 when it passed
#   RELEASE=1  the optimised build (takes some minutes)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly home=$PWD/.seawall
readonly secrets=$home/secrets

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '  %s\n' "$*"; }
fail() { printf '\nquickstart: %s\n' "$*" >&2; exit 1; }

pids=()
stop() {
  trap - EXIT INT TERM
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
}
trap stop EXIT
trap 'printf "\nstopping\n"; stop; exit 0' INT TERM

# The first free port from the given one on.
port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    port=$((port + 1))
    [ "$port" -lt $(($1 + 100)) ] || fail "no free port from $1 on"
  done
  echo "$port"
}

# Waits until a URL answers 200; gives up when the process behind it has ended.
await() {
  local name=$1 pid=$2 url=$3 log=$4 tries
  for tries in $(seq 150); do
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$log" >&2; fail "$name has ended, see $log"; }
    if curl --silent --fail --noproxy '*' --max-time 2 --output /dev/null "$url"; then return; fi
    sleep 0.2
  done
  tail -n 20 "$log" >&2
  fail "$name does not answer after $((tries / 5)) s, see $log"
}

# Makes a password once and keeps it where only its owner can read it.
password() {
  if [ -s "$secrets/$1.txt" ]; then return; fi
  (umask 077 && head -c 33 /dev/urandom | base64 | tr '+/' 'xy' >"$secrets/$1.txt")
}

# --- build ------------------------------------------------------------------------------------------------------------

step "1. Building seawall"
if [ "${RELEASE:-}" = 1 ]; then
  cargo build --locked --release --bin seawall
  profile=release
else
  cargo build --locked --bin seawall
  profile=debug
fi
seawall=${CARGO_TARGET_DIR:-target}/$profile/seawall

# --- start ------------------------------------------------------------------------------------------------------------

step "2. Starting a registry, and seawall in front of it"
mkdir -p "$home" && chmod 700 "$home"
mkdir -p "$secrets" "$home/keys" "$home/registry"
for name in admin ci-push reader; do password "$name"; done
upstream=127.0.0.1:$(port 5480)
server=127.0.0.1:$(port 8480)
metrics=127.0.0.1:$(port 9464)

cat >"$home/registry.yaml" <<END
version: 0.1
log: { level: warn }
storage:
  filesystem: { rootdirectory: "$home/registry" }
  delete: { enabled: true }
http: { addr: "$upstream", secret: "only-reachable-on-the-loopback" }
END

cat >"$home/seawall.yaml" <<END
# Written anew by every \`make quickstart\`. Edit it while seawall runs: a change is in force within a second, and a
# mistake is reported in seawall.log and changes nothing.
version: 1
listeners:
  - { name: public, address: "$server" }
metrics: { address: "$metrics" }
audit: { output: "file:$home/audit.jsonl" }
signing: { directory: "$home/keys" }
store: "sqlite:$home/seawall.db"
management: { address: "unix:$home/management.sock" }
registries:
  quickstart:
    loginServer: "$server"
    upstream: { url: "http://$upstream" }
    adminUserEnabled: true
    admin: { passwords: [ { name: password, file: "$secrets/admin.txt" } ] }
    networkRuleSet:
      defaultAction: Deny
      ipRules:
        - { value: 127.0.0.0/8, name: this-machine }
    scopeMaps:
      samples:
        description: Push and pull everything below samples/
        repositories: { "samples/*": [content/read, content/write, metadata/read] }
    tokens:
      ci-push: { scopeMap: samples, passwords: [ { name: password1, file: "$secrets/ci-push.txt" } ] }
      reader: { scopeMap: _repositories_pull, passwords: [ { name: password1, file: "$secrets/reader.txt" } ] }
END
"$seawall" check "$home/seawall.yaml" >"$home/check.log" 2>&1 || { cat "$home/check.log" >&2; fail "the file is refused"; }

docker-registry serve "$home/registry.yaml" >"$home/registry.log" 2>&1 &
pids+=($!)
await "the registry" $! "http://$upstream/v2/" "$home/registry.log"
say "registry   http://$upstream   (Distribution, unchanged; nobody needs to know this address)"
"$seawall" serve --config "$home/seawall.yaml" >"$home/seawall.log" 2>&1 &
pids+=($!)
await seawall $! "http://$metrics/readyz" "$home/seawall.log"
say "seawall    http://$server   (what clients use)"
say "metrics    http://$metrics/metrics"

# --- a tiny image: two layers, no network -----------------------------------------------------------------------------

# Adds a file to the layout's blobs and prints its descriptor.
blob() {
  local digest
  digest=$(sha256sum "$2" | cut -d ' ' -f 1)
  cp "$2" "$image/blobs/sha256/$digest"
  jq -cn --arg type "$1" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$2")" \
    '{mediaType: $type, digest: $digest, size: $size}'
}

# Packs a folder as a layer; prints the descriptor and the digest of the unpacked archive.
layer() {
  tar --create --file "$work/layer.tar" --sort=name --owner=0 --group=0 --mtime=@0 --directory "$1" .
  sha256sum "$work/layer.tar" | cut -d ' ' -f 1 | sed 's/^/sha256:/' >>"$work/diff-ids"
  gzip -n --force "$work/layer.tar"
  blob application/vnd.oci.image.layer.v1.tar+gzip "$work/layer.tar.gz" >>"$work/layers"
}

build_image() {
  local image=$home/image work=$home/image.work config manifest
  rm -rf "$image" "$work" && mkdir -p "$image/blobs/sha256" "$work/shell/bin" "$work/words"
  cp "$(command -v busybox)" "$work/shell/bin/busybox" && ln -s busybox "$work/shell/bin/sh"
  echo 'hello through seawall' >"$work/words/hello"
  layer "$work/shell" && layer "$work/words"
  jq -Rn --arg architecture "$(dpkg --print-architecture)" \
    '{architecture: $architecture, os: "linux", config: {Cmd: ["/bin/busybox", "cat", "/hello"]},
      rootfs: {type: "layers", diff_ids: [inputs]}}' <"$work/diff-ids" >"$work/config.json"
  config=$(blob application/vnd.oci.image.config.v1+json "$work/config.json")
  jq -n --argjson config "$config" \
    '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [inputs]}' \
    <"$work/layers" >"$work/manifest.json"
  manifest=$(blob application/vnd.oci.image.manifest.v1+json "$work/manifest.json")
  jq -n --argjson manifest "$manifest" \
    '{schemaVersion: 2, manifests: [$manifest + {annotations: {"org.opencontainers.image.ref.name": "v1"}}]}' \
    >"$image/index.json"
  echo '{"imageLayoutVersion": "1.0.0"}' >"$image/oci-layout"
  rm -rf "$work"
}

# --- check ------------------------------------------------------------------------------------------------------------

# skopeo with a login of its own, and no signature policy of this machine.
export REGISTRY_AUTH_FILE=$home/auth.json
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$home/policy.json"
skopeo_here() { skopeo --policy "$home/policy.json" "$@"; }
shown() { printf '  $ %s\n' "$*"; }

step "3. Pushing and pulling an image as the token \`ci-push\`"
build_image
shown "skopeo login --tls-verify=false --username ci-push --password-stdin $server < .seawall/secrets/ci-push.txt"
skopeo login --tls-verify=false --username ci-push --password-stdin "$server" <"$secrets/ci-push.txt" | sed 's/^/  /'
shown "skopeo copy --dest-tls-verify=false oci:.seawall/image:v1 docker://$server/samples/hello:v1"
skopeo_here copy --quiet --dest-tls-verify=false "oci:$home/image:v1" "docker://$server/samples/hello:v1"
shown "skopeo copy --src-tls-verify=false docker://$server/samples/hello:v1 oci:.seawall/pulled:v1"
rm -rf "$home/pulled"
skopeo_here copy --quiet --src-tls-verify=false "docker://$server/samples/hello:v1" "oci:$home/pulled:v1"
sent=$(jq -r '.manifests[0].digest' "$home/image/index.json")
came=$(jq -r '.manifests[0].digest' "$home/pulled/index.json")
[ "$sent" = "$came" ] || fail "what came back ($came) is not what went up ($sent)"
say "the same image came back: $came"

step "4. A push that is refused: the scope map of \`ci-push\` ends at samples/"
shown "skopeo copy --dest-tls-verify=false oci:.seawall/image:v1 docker://$server/production/hello:v1"
if skopeo_here copy --quiet --dest-tls-verify=false "oci:$home/image:v1" "docker://$server/production/hello:v1" \
  >"$home/refused.log" 2>&1; then
  fail "this push should have been refused"
fi
grep -q 'requested access to the resource is denied' "$home/refused.log" || {
  cat "$home/refused.log" >&2
  fail "refused, but not as expected"
}
say "denied: requested access to the resource is denied"

step "5. A token made while seawall runs, and disabled"
export SEAWALL_CONFIG=$home/seawall.yaml
pull_as_laptop() {
  rm -rf "$home/pulled"
  skopeo_here copy --quiet --src-tls-verify=false --src-creds "laptop:$1" "docker://$server/samples/hello:v1" "oci:$home/pulled:v1" \
    >"$home/refused.log" 2>&1
}
shown "export SEAWALL_CONFIG=.seawall/seawall.yaml"
shown "seawall token create -r quickstart -n laptop --repository samples/hello content/read"
secret=$("$seawall" token create -r quickstart -n laptop --repository samples/hello content/read \
  --query 'credentials.passwords[0].value' -o tsv 2>"$home/created.log") || { cat "$home/created.log" >&2; fail "no token was made"; }
pull_as_laptop "$secret" || { cat "$home/refused.log" >&2; fail "the new token cannot pull"; }
say "\`laptop\` pulls samples/hello"
shown "seawall token update -r quickstart -n laptop --status disabled"
"$seawall" token update -r quickstart -n laptop --status disabled >/dev/null
if pull_as_laptop "$secret"; then fail "a disabled token can still pull"; fi
say "\`laptop\` is refused from the next request on"
"$seawall" token delete -r quickstart -n laptop --yes && "$seawall" scope-map delete -r quickstart -n laptop-scope-map --yes

if [ "${ONESHOT:-}" = 1 ]; then
  step "All is well."
  exit 0
fi

# --- serve ------------------------------------------------------------------------------------------------------------

step "6. Try it"
say "user          password"
shown_before=$home/.credentials-shown
for name in quickstart:admin ci-push:ci-push reader:reader; do
  if [ -e "$shown_before" ]; then
    printf '  %-12s  in .seawall/secrets/%s.txt\n' "${name%%:*}" "${name#*:}"
  else
    printf '  %-12s  %s\n' "${name%%:*}" "$(cat "$secrets/${name#*:}.txt")"
  fi
done
: >"$shown_before"
cat <<END

  docker login --username ci-push --password-stdin $server < .seawall/secrets/ci-push.txt
  docker pull $server/samples/hello:v1
  docker run --rm $server/samples/hello:v1
  podman pull --tls-verify=false --creds reader $server/samples/hello:v1    # asks for the password

  export SEAWALL_CONFIG=.seawall/seawall.yaml # where the commands find this seawall
  $seawall token list -r quickstart -o table

  \$EDITOR .seawall/seawall.yaml              # rights change within a second, no restart
  tail .seawall/seawall.log                  # a mistake in the file is named here, and changes nothing
  tail -f .seawall/audit.jsonl | jq .        # who did what, and why it was allowed or refused
  curl -s http://$metrics/metrics

END
say "The admin account's user is \`quickstart\`; \`reader\` pulls everything. Ctrl-C stops both."
wait -n "${pids[@]}" || true
fail "a server has ended, see .seawall/seawall.log and .seawall/registry.log"
