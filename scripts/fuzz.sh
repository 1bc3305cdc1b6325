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

run_target() {
  if [ -e "tests/fuzz/$target.py" ]; then
    "${PYTHON:-.venv/bin/python}" -m tests.fuzz.run "$target" "$folder/corpus" -max_total_time="$seconds" \
      -rss_limit_mb=2048 -artifact_prefix="$folder/" -print_final_stats=1
  else
    crates/media/fuzz/run.sh "$target" "$seconds"
  fi
}

one() {
  local target=$1 seconds=$2 folder=build/fuzz/$1 code=0 cpu
  mkdir -p "$folder/corpus"
  TIMEFORMAT='%U'
  cpu=$( { time run_target >"$folder/log" 2>&1 || echo "$?" >"$folder/code"; } 2>&1)
  [ ! -e "$folder/code" ] || { code=$(cat "$folder/code"); rm "$folder/code"; }
  local executed
  executed=$(grep -aoE 'stat::number_of_executed_units: *[0-9]+|Done [0-9]+ runs' "$folder/log" | grep -oE '[0-9]+' | tail -n 1 || true)
  if [ "$code" -eq 0 ]; then
    printf '%-24s %6s CPU s  %12s inputs  no crash\n' "$target" "${cpu%.*}" "${executed:-?}"
  else
    printf '%-24s CRASHED (exit %s): see %s/log\n' "$target" "$code" "$folder"
    return 1
  fi
}
export -f one run_target

echo "== fuzzing ${#targets[@]} targets, $seconds s each, $(nproc) side by side"
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one {} '"$seconds" || exit 1
