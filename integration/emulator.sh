# The emulator of integration/vm/run and integration/kernels/run: QEMU from Debian's packages, in $work/emulator. Sourced.
# shellcheck shell=bash

# It is of Debian 13: that of Debian 12, QEMU 7.2, crashes kernels 6.12 at random.
# shellcheck disable=SC2154,SC2034 # of and for the script that sources this
emulator=("$work/emulator/usr/lib64/ld-linux-x86-64.so.2" --library-path "$work/emulator/usr/lib/x86_64-linux-gnu"
    "$work/emulator/usr/bin/qemu-system-x86_64" -L "$work/emulator/usr/share/qemu" -L "$work/emulator/usr/share/seabios")

# Complete, or not there: a directory that is renamed at the end.
build_emulator() {
    [ -d "$work/emulator" ] && return
    need mmdebstrap
    section "the emulator, from Debian's packages"
    rm -rf "$work/emulator.new"
    bootstrap trixie "$work/emulator.new" --variant=extract --include=qemu-system-x86,seabios
    mv "$work/emulator.new" "$work/emulator"
}
