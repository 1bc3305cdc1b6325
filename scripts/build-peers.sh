#!/usr/bin/env bash
# Build the foreign peers of `make interop` into build/peers: our small mains around pinned libraries of others,
# and programs of others as they are from checkouts under COMMONVIEW_PEER_SOURCES (gb-cms with gosip and ip2region
# beside it, mediamtx, go2rtc, gb28181-camera-simulator; vlc 3.0 and live555 of 2019, of which VLC's RTSP client is made). A peer whose tool chain or checkout is not here is left out, with a word; its tests
# then skip. What was built is listed with its version in build/peers/versions.
set -euo pipefail
cd "$(dirname "$0")/.."
peers=tests/interop/peers
out=$PWD/build/peers
sources=${COMMONVIEW_PEER_SOURCES:-}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
: >"$out/versions"
export GOFLAGS="-mod=mod -buildvcs=false"

built() { printf '%s %s\n' "$1" "$2" >>"$out/versions"; }

# A working copy of the checkout $1 in $copy, for its build with $2 to change; false without one.
copied() {
  if [ -z "$sources" ] || [ ! -d "$sources/$1" ]; then
    echo "== no checkout of $1 under COMMONVIEW_PEER_SOURCES: left out"
    return 1
  fi
  if ! command -v "$2" >/dev/null 2>&1; then
    echo "== no $2: $1 is left out"
    return 1
  fi
  echo "== foreign peer: $1 (from a checkout)"
  copy=$out/src/$1
  rm -rf "$copy"
  mkdir -p "$out/src"
  cp -r "$sources/$1" "$copy"
}

# "COMMIT of DAY" of the checkout $1.
revision() { git -C "$sources/$1" log -1 --format='%h of %cs' 2>/dev/null || echo unknown; }

if command -v cargo >/dev/null 2>&1; then
  echo "== foreign peer: device on gb28181-rs (Rust)"
  CARGO_TARGET_DIR=$out/target cargo build --quiet --release --locked --manifest-path $peers/rust-device/Cargo.toml
  install -m 755 "$out/target/release/rust-device" "$out/rust-device"
  built rust-device "$(sed -n 's/^gb28181-rs = .*"=\([0-9.]*\)".*/\1/p' $peers/rust-device/Cargo.toml)"
else
  echo "== no cargo: the Rust peer is left out"
fi

if command -v mvn >/dev/null 2>&1; then
  echo "== foreign peer: device and platform on JAIN-SIP and gb28181-common (Java)"
  rm -rf "$out/java"
  cp -r $peers/java "$out/java"
  mvn --quiet --batch-mode --file "$out/java/pom.xml" package
  built java "$(grep -A1 '<artifactId>gb28181-client<' $peers/java/pom.xml | sed -n 's:.*<version>\(.*\)</version>.*:\1:p')"
else
  echo "== no mvn: the Java peers are left out"
fi

if command -v go >/dev/null 2>&1; then
  echo "== foreign peer: RTSP server on gortsplib (Go)"
  (cd $peers/go-rtsp && GOFLAGS="-mod=readonly -buildvcs=false" go build -o "$out/go-rtsp" .)
  built go-rtsp "$(sed -n 's:.*gortsplib/v5 v\([0-9.]*\)$:\1:p' $peers/go-rtsp/go.mod)"
else
  echo "== no go: the Go RTSP server is left out"
fi

if copied gb-cms go; then
  # Its profiler listens on a fixed port of every interface; here it stays on the loopback at any port.
  sed -i 's/":19000"/"127.0.0.1:0"/' "$copy/main.go"
  (
    cd "$copy"
    [ -d "$sources/gosip" ] && go mod edit -replace "github.com/ghettovoice/gosip=$sources/gosip"
    binding=ip2region/binding/golang
    [ -d "$sources/$binding" ] && go mod edit -replace "github.com/lionsoul2014/$binding=$sources/$binding"
    go build -o "$out/gb-cms" .
  )
  built gb-cms "$(revision gb-cms)"
fi

if copied mediamtx go; then
  # Two files that its own build generates: the version, and a script of a page that nobody opens here.
  revision mediamtx >"$copy/internal/core/VERSION"
  [ -f "$copy/internal/servers/hls/hls.min.js" ] || : >"$copy/internal/servers/hls/hls.min.js"
  (cd "$copy" && go build -o "$out/mediamtx" .)
  built mediamtx "$(revision mediamtx)"
fi

if copied go2rtc go; then
  (cd "$copy" && go build -o "$out/go2rtc" .)
  built go2rtc "$(revision go2rtc)"
fi

if [ -n "$sources" ] && [ -d "$sources/vlc" ] && [ -d "$sources/live555" ] && [ -d /usr/include/vlc/plugins ] && command -v g++ >/dev/null 2>&1; then
  echo "== foreign peer: VLC's RTSP client on live555 (a plug-in for Debian's VLC)"
  $peers/vlc-rtsp/build.sh "$sources/vlc" "$sources/live555" "$out/vlc"
  built vlc "$(revision vlc), live555 $(revision live555)"
else
  echo "== no checkouts of vlc and live555, or no libvlccore-dev or g++: VLC's RTSP client is left out"
fi

if copied gb28181-camera-simulator ffmpeg; then
  # It takes the address of a network card; here it stays on the loopback.
  sed -i 's/self\.local_ip = get_local_ip()/self.local_ip = "127.0.0.1"/' "$copy/src/sip_client.py"
  rm -rf "$out/camera-simulator"
  mkdir "$out/camera-simulator"
  cp -r "$copy/src" "$out/camera-simulator/src"
  "$python" -m venv "$out/camera-simulator/venv"
  "$out/camera-simulator/venv/bin/python" -m pip install --quiet -r "$copy/requirements.txt"
  built camera-simulator "$(revision gb28181-camera-simulator)"
fi

echo "== foreign peer: ONVIF camera ipycam (Python, in an environment of its own)"
"$python" -m venv --clear "$out/onvif"
# Without its own requirements: they name the OpenCV build that needs a desktop's libraries.
"$out/onvif/bin/python" -m pip install --quiet --no-deps -r $peers/onvif_requirements.txt
built ipycam "$(sed -n 's/^ipycam==\([0-9.]*\).*/\1/p' $peers/onvif_requirements.txt)"
