#!/bin/sh
# Fuzzes one parser on stable Rust:   crates/media/fuzz/run.sh TARGET SECONDS
# Writes the seed corpus anew:        crates/media/fuzz/run.sh seeds
#
# Needs a C++ compiler for libFuzzer. The flags are what `cargo fuzz --sanitizer none` passes; the explicit --target keeps them away from build
# scripts. A run starts from the seeds, which it leaves alone, and from what earlier runs found, which is kept in build/fuzz/TARGET/corpus at the
# root of the repository. A finding is left in build/fuzz/TARGET/ and the exit status is not 0.
set -eu
cd "$(dirname "$0")"
if [ $# -lt 1 ]; then
    echo "usage: $0 TARGET SECONDS   (targets: rtp rfc4571 ps ts nal fmp4 ingest http websocket ticket rtsp rtsp_server relay scan segment_reader hls_request hls_playlist)" >&2
    exit 2
fi
name=$1
if [ "$name" = seeds ]; then
    exec cargo run --locked --quiet --release --bin seeds
fi
seconds=${2:-60}
scratch=../../../build/fuzz/$name
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="--cfg fuzzing -C passes=sancov-module -C llvm-args=-sanitizer-coverage-level=4 \
-C llvm-args=-sanitizer-coverage-inline-8bit-counters -C llvm-args=-sanitizer-coverage-pc-table \
-C llvm-args=-sanitizer-coverage-trace-compares -C codegen-units=1"
export RUSTFLAGS
cargo build --locked --quiet --release --target "$host" --bin "$name"
mkdir -p "$scratch/corpus"
# The first folder is written to, the others are only read.
exec "${CARGO_TARGET_DIR:-target}/$host/release/$name" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -max_len=65536 \
    -artifact_prefix="$scratch/" -print_final_stats=1 "$scratch/corpus" "corpus/$name"
