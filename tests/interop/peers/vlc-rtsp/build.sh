#!/usr/bin/env bash
# VLC's RTSP client as a plug-in of its own: Debian builds VLC without it. `build.sh VLC LIVE555 OUT` takes checkouts of
# VLC 3.0 and of live555 as it was in VLC's time (2019; later ones changed their interface), and Debian's libvlccore-dev.
set -euo pipefail
vlc=$1 live=$2 out=$3
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
libraries=(UsageEnvironment groupsock liveMedia BasicUsageEnvironment)
includes=()
for library in "${libraries[@]}"; do includes+=("-I$live/$library/include"); done
options=(-fPIC -O1 -w -D_FILE_OFFSET_BITS=64)
for library in "${libraries[@]}"; do
  for file in "$live/$library"/*.c "$live/$library"/*.cpp; do
    [ -f "$file" ] || continue
    g++ -x "$([[ $file == *.c ]] && echo c || echo c++)" "${options[@]}" "${includes[@]}" "-I$live/$library" \
      -DSOCKLEN_T=socklen_t -D_LARGEFILE_SOURCE=1 -DBSD=1 -c "$file" -o "$objects/$library-$(basename "$file").o"
  done
done
# What VLC's own configuration would define.
cat >"$objects/defined.h" <<'END'
#define N_(text) text
#define _(text) text
#define VERSION "3.0"
#define HAVE_ATTRIBUTE_PACKED 1
END
options+=(-I/usr/include/vlc/plugins "-I$vlc/include" -D__PLUGIN__ -D_REENTRANT -include "$objects/defined.h")
options+=('-DMODULE_STRING="live555"' -DMODULE_NAME=live555)
for file in mms/asf.c mms/buffer.c live555.cpp; do
  g++ -x "$([[ $file == *.c ]] && echo c || echo c++)" "${options[@]}" "${includes[@]}" \
    -c "$vlc/modules/access/$file" -o "$objects/vlc-$(basename "$file").o"
done
mkdir -p "$out/access"
g++ -shared -o "$out/access/liblive555_plugin.so" "$objects"/*.o -lvlccore
