#!/usr/bin/env bash
# Build the foreign peers of `make interop` into build/peers: our small mains around pinned libraries of others.
# A peer whose tool chain is not here is left out, with a word; its tests then skip.
set -euo pipefail
cd "$(dirname "$0")/.."
peers=tests/interop/peers
out=$PWD/build/peers
mkdir -p "$out"

if command -v cargo >/dev/null 2>&1; then
  echo "== foreign peer: device on gb28181-rs (Rust)"
  CARGO_TARGET_DIR=$out/target cargo build --quiet --release --locked --manifest-path $peers/rust-device/Cargo.toml
  install -m 755 "$out/target/release/rust-device" "$out/rust-device"
else
  echo "== no cargo: the Rust peer is left out"
fi

if command -v mvn >/dev/null 2>&1; then
  echo "== foreign peer: device and platform on JAIN-SIP and gb28181-common (Java)"
  rm -rf "$out/java"
  cp -r $peers/java "$out/java"
  mvn --quiet --batch-mode --file "$out/java/pom.xml" package
else
  echo "== no mvn: the Java peers are left out"
fi

echo "== foreign peer: ONVIF camera ipycam (Python, in an environment of its own)"
"${PYTHON:-.venv/bin/python}" -m venv --clear "$out/onvif"
# Without its own requirements: they name the OpenCV build that needs a desktop's libraries.
"$out/onvif/bin/python" -m pip install --quiet --no-deps -r $peers/onvif_requirements.txt
