#!/usr/bin/env bash
# How many instructions reading a request, finding out who the caller is, and deciding take. Unlike times, instructions are
# the same on a busy machine: what changes them is the code.
#
#   scripts/instructions.sh              all of the table below
#   scripts/instructions.sh decide       those of one bench
#
# Each measurement runs twice under callgrind (Debian: valgrind), the second time with more iterations: the difference is
# theirs, without the start. Environment: CARGO_TARGET_DIR and CARGO_PROFILE_BENCH_* as for any build.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind > /dev/null || { echo 'instructions.sh: valgrind is missing' >&2; exit 1; }

# bench, measurement, argument or -, iterations, things in one iteration, only inside this function (or *)
TABLE='
parse     manifest_by_tag                -       4000  1      *
parse     manifest_by_digest             -       4000  1      *
parse     blob                           -       4000  1      *
parse     bearer                         -       4000  1      *
parse     basic                          -       4000  1      *
verify    access_token_seen_before_es256 -       4000  1      *
verify    new_access_token_es256         -       20    1      *Authenticator*by_access_token*
verify    password_hashed_before         -       4000  1      *
verify    password_without_hashing       -       4000  1      *
decide    permit                         10      1     16384  *
decide    permit                         1000    1     16384  *
decide    permit                         100000  1     16384  *
decide    denied_by_scope                10      1     16384  *
decide    denied_by_network              10      1     16384  *
decide    permit_with_look_ups           10      1     16384  *
'

# The path of a bench's program, built.
program() {
    cargo bench --locked --bench "$1" --no-run --message-format=json 2> /dev/null |
        sed -n 's/.*"kind":\["bench"\].*"executable":"\([^"]*\)".*/\1/p'
}

# All instructions of a run: program, name, iterations, function
collected() {
    local only=()
    [ "$4" = '*' ] || only=("--toggle-collect=$4")
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "${only[@]}" \
        "$1" --bench --exact "$2" --sample-count 1 --sample-size "$3" 2>&1 |
        awk '/Collected *:/ { found = $NF } END { if (found == "") exit 1; print found }'
}

built=
printf '%-10s %-34s %s\n' bench measurement instructions
while read -r bench name argument iterations things only; do
    [ -n "$bench" ] && [ "${1:-$bench}" = "$bench" ] || continue
    [ "$built" = "$bench" ] || { path=$(program "$bench"); built=$bench; }
    [ -x "$path" ] || { echo "instructions.sh: no program for $bench" >&2; exit 1; }
    full=$bench.$name
    [ "$argument" = - ] || full=$full.$argument
    few=$(collected "$path" "$full" "$iterations" "$only")
    many=$(collected "$path" "$full" $((iterations * 3)) "$only")
    printf '%-10s %-34s %d\n' "$bench" "${full#*.}" $(((many - few) / (2 * iterations * things)))
done <<< "$TABLE"
