#!/usr/bin/env bash
# Builds seawall as a release has it: the compiler is told what the program does with its time (profile-guided optimisation).
#
#   scripts/release.sh        writes target/dist/seawall; about half an hour, most of it compiling twice
#
# The program is built once so that it counts what it does, does a bit of everything that `make bench` measures, and is built
# again with what was learnt. Needs the llvm-profdata of rustc's LLVM: Debian's package of that version (apt.llvm.org has all
# of them), or `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
host=$(rustc -vV | sed -n 's/^host: //p')
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin
profdata=$(PATH=$tools:$PATH command -v "llvm-profdata-$version" || PATH=$tools:$PATH command -v llvm-profdata || true)
if [ -z "$profdata" ] || ! "$profdata" --version | grep -q "LLVM version $version\."; then
  echo "release.sh: llvm-profdata of LLVM $version is missing: install the package llvm-$version, or \`rustup component add llvm-tools\`" >&2
  exit 1
fi

say() { printf '==> %s\n' "$*"; }

# With --target, so that build scripts and macros are built as they always are.
build() {
  RUSTFLAGS="${RUSTFLAGS:-} $1" CARGO_TARGET_DIR=$target/$2 cargo build --locked --release --bin seawall --target "$host"
}

counts=$target/profile/counts
say "1/3 a program that counts what it does"
CARGO_PROFILE_RELEASE_LTO=off build "-Cprofile-generate=$counts" profile

say "2/3 some of everything, for about two minutes"
rm -rf "$counts"
scripts/install-deps.sh bench
# By name of the process, since many run at once. What it says of its speed means nothing.
LLVM_PROFILE_FILE=$counts/%p-%m.profraw ROUNDS=1 SECONDS=1 \
  SEAWALL_BINARY=$target/profile/$host/release/seawall \
  cargo bench --locked --profile dev --bench peers > "$target/profile/bench.log" 2>&1 || { tail "$target/profile/bench.log" >&2; exit 1; }
"$profdata" merge -o "$target/profile/seawall.profdata" "$counts"

say "3/3 the program"
build "-Cprofile-use=$target/profile/seawall.profdata" optimised
mkdir -p "$target/dist"
cp "$target/optimised/$host/release/seawall" "$target/dist/seawall"
say "$target/dist/seawall"
