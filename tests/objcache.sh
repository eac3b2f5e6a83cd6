#!/bin/bash
# Verilator's makefiles call this before the compiler: what is the same for all engines, objects of
# Verilator's own sources, is compiled once and kept in LSTM_SHARP_OBJECTS.
set -euo pipefail
source="${*: -1}"
[[ "$source" == */include/verilated*.cpp ]] || exec "$@"
object=$(sed -nE 's/.* -o ([^ ]+).*/\1/p' <<<"$*")
command=$(sed -E 's/-D(STREAM_BITS|RTL)[^ ]*//g' <<<"$*") # of the harness alone
kept="$LSTM_SHARP_OBJECTS/$(sha256sum <<<"$command" | cut -c1-16).o"
mkdir -p "$LSTM_SHARP_OBJECTS"
exec 9>"$kept.lock"
flock 9 # of several that want it one compiles
[[ "$kept" -nt "$source" ]] || { "$@" && cp "$object" "$kept.new" && mv "$kept.new" "$kept"; }
cp "$kept" "$object"
