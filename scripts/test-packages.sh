#!/usr/bin/env bash
# Debian packages that the tests drive: a real browser, foreign peers and oracles, and a font with Chinese characters;
# with `interop` also the players of `make interop`.
set -euo pipefail
declare -A needs=([chromium]=chromium [ffprobe]=ffmpeg [sipp]=sip-tester [tshark]=tshark [fc-list]=fontconfig)
packages=()
if [ "${1:-}" = interop ]; then
  needs+=([gst-launch-1.0]=gstreamer1.0-tools [cvlc]=vlc-bin)
  # What these decode with, and what VLC's RTSP client is built against.
  packages+=(gstreamer1.0-libav vlc-plugin-base libvlccore-dev)
fi
missing=()
for command in "${!needs[@]}"; do
  command -v "$command" >/dev/null 2>&1 || missing+=("${needs[$command]}")
done
if command -v fc-list >/dev/null 2>&1 && [ -n "$(fc-list :lang=zh family)" ]; then :; else missing+=(fonts-noto-cjk); fi
rtsp_server="import gi; gi.require_version('GstRtspServer', '1.0')"
if [ ! -x /usr/bin/python3 ] || ! /usr/bin/python3 -c "$rtsp_server" >/dev/null 2>&1; then
  missing+=(gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,bad,ugly})
fi
for package in "${packages[@]}"; do
  if command -v dpkg >/dev/null 2>&1 && ! dpkg -s "$package" >/dev/null 2>&1; then missing+=("$package"); fi
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "== Debian packages for the tests: ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "This is not a Debian system: install by hand what provides chromium, ffprobe, sipp, tshark, gst-rtsp-server, a CJK font, and for `make interop` GStreamer and VLC." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "Run once as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { "${as_root[@]}" apt-get update -q && "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  exit 1
fi
rm -f "$log"
