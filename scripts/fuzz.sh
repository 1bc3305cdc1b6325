#!/usr/bin/env bash
# Runs every fuzz target for a number of seconds, two side by side: fuzz.sh SECONDS [TARGET ...]
# Python targets are tests/fuzz/fuzz_*.py (atheris), Rust targets crates/media/fuzz/fuzz_targets/*.rs (libFuzzer).
# What a target finds is kept under build/fuzz/TARGET; exit 1 when any crashed.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in crates/media/fuzz/fuzz_targets/*.rs tests/fuzz/fuzz_*.py; do
    name=$(basename "$file")
    targets+=("${name%.*}")
  done
fi

one() {
  local target=$1 seconds=$2 folder=build/fuzz/$1 code=0
  mkdir -p "$folder/corpus"
  if [ -e "tests/fuzz/$target.py" ]; then
    .venv/bin/python -m tests.fuzz.run "$target" "$folder/corpus" -max_total_time="$seconds" -rss_limit_mb=2048 \
      -artifact_prefix="$folder/" -print_final_stats=1 >"$folder/log" 2>&1 || code=$?
  else
    crates/media/fuzz/run.sh "$target" "$seconds" >"$folder/log" 2>&1 || code=$?
  fi
  local executed
  executed=$(grep -aoE 'stat::number_of_executed_units: *[0-9]+|Done [0-9]+ runs' "$folder/log" | grep -oE '[0-9]+' | tail -n 1 || true)
  if [ "$code" -eq 0 ]; then
    printf '%-24s %4ss  %12s inputs  no crash\n' "$target" "$seconds" "${executed:-?}"
  else
    printf '%-24s CRASHED (exit %s): see %s/log\n' "$target" "$code" "$folder"
    return 1
  fi
}
export -f one

echo "== fuzzing ${#targets[@]} targets, $seconds s each, $(nproc) side by side"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {} '"$seconds" || exit 1
