# The emulator of integration/vm/run and integration/kernels/run: QEMU from Debian's packages, in $work/emulator. Sourced.
# shellcheck shell=bash

# It is of Debian 13: that of Debian 12, QEMU 7.2, crashes kernels 6.12 at random.
# shellcheck disable=SC2154,SC2034 # of and for the script that sources this
emulator=("$work/emulator/usr/lib64/ld-linux-x86-64.so.2" --library-path "$work/emulator/usr/lib/x86_64-linux-gnu"
    "$work/emulator/usr/bin/qemu-system-x86_64" -L "$work/emulator/usr/share/qemu" -L "$work/emulator/usr/share/seabios")
# The same for an emulated arm64 machine.
# shellcheck disable=SC2154,SC2034
emulator_arm64=("$work/emulator.arm64/usr/lib64/ld-linux-x86-64.so.2" --library-path "$work/emulator.arm64/usr/lib/x86_64-linux-gnu"
    "$work/emulator.arm64/usr/bin/qemu-system-aarch64")

# Complete, or not there: a directory that is renamed at the end.
build_emulator() {
    extract_emulator "$work/emulator" qemu-system-x86,seabios
}
build_emulator_arm64() {
    extract_emulator "$work/emulator.arm64" qemu-system-arm
}

extract_emulator() { # DIRECTORY PACKAGES
    [ -d "$1" ] && return
    need mmdebstrap
    section "the emulator, from Debian's packages"
    rm -rf "$1.new"
    bootstrap trixie "$1.new" --variant=extract --include="$2"
    mv "$1.new" "$1"
}
