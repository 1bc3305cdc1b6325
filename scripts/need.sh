#!/usr/bin/env bash
# Stops with a plain word when a tool is missing: need.sh COMMAND "what it is"
set -eu
command -v "$1" >/dev/null 2>&1 || {
  echo "Commonview needs $2, and '$1' is not on the PATH. Install it and run the command again." >&2
  exit 1
}
