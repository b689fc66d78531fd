# What the scripts of this folder and of integration/ share; sourced by them, never run. Works on Debian and Ubuntu, installs only what is
# missing, and leaves the shell in the top directory of the repository.
# shellcheck shell=bash

self=$(realpath "$0")
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
top=$PWD

fail() {
    echo "${self#"$top"/}: $*" >&2
    exit 1
}

section() { printf '\n== %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root: run it as root, or install sudo"
    fi
}

# Scripts that are root's business from beginning to end call this first. The other user's build products stay theirs.
become_root() {
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null || fail "needs root: run it as root, or install sudo"
    exec sudo env "PATH=$PATH" "CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}" "RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}" \
        "CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$top/target/root}" "RRUNTIME=${RRUNTIME:-}" "CI=${CI:-}" \
        "RRUNTIME_ROOM_SUITE=${RRUNTIME_ROOM_SUITE:-}" "RRUNTIME_ROOM_LAYOUT=${RRUNTIME_ROOM_LAYOUT:-}" \
        "RRUNTIME_VM_SUITE=${RRUNTIME_VM_SUITE:-}" "RRUNTIME_VM_LIMIT=${RRUNTIME_VM_LIMIT:-}" "$self" "$@"
}

# What the runtime can do without, and how a kernel, or the filter of an engine that it runs in, says that it is not there.
# shellcheck disable=SC2034 # for those who source this
dispensable=({mount_setattr,memfd_create,keyctl,statx,set_mempolicy,fchmodat2,faccessat2,openat2,clone3,close_range}:{ENOSYS,EPERM}
    close_range_cloexec:EINVAL setns_by_pidfd:EINVAL)
# The same for all that is newer than a version of Linux, or denied by a filter that knows nothing newer than 5.4.
# shellcheck disable=SC2034 # for those who source this
played_kernels=(5.10 5.4 filter)

has_static_busybox() { command -v busybox >/dev/null && ! ldd "$(command -v busybox)" >/dev/null 2>&1; }
has_static_libc() { cc -print-file-name=libc.a 2>/dev/null | grep -q /; }

# have PACKAGE: is what we want of that Debian package there, wherever it came from?
have() {
    case $1 in
    gcc) command -v cc >/dev/null ;;
    golang-go) command -v go >/dev/null ;;
    libc6-dev) has_static_libc ;;
    busybox-static) has_static_busybox ;;
    uidmap) command -v newuidmap >/dev/null ;;
    iproute2) command -v ip >/dev/null ;;
    e2fsprogs) command -v mke2fs >/dev/null ;;
    xz-utils) command -v xz >/dev/null ;;
    procps) command -v ps >/dev/null ;;
    util-linux) command -v unshare >/dev/null && command -v script >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

# need PACKAGE...: installs the missing ones.
need() {
    local package missing=()
    for package in "$@"; do
        have "$package" || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || fail "please install (no apt-get here): ${missing[*]}"
    echo "installing ${missing[*]}" >&2
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends)
    { as_root "${install[@]}" "${missing[@]}" || { as_root apt-get update -q && as_root "${install[@]}" "${missing[@]}"; }; } >&2
    for package in "${missing[@]}"; do
        have "$package" || fail "$package is installed, but what it should bring is not there"
    done
}

need_rust() {
    command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || fail "Rust is missing: install it with rustup (https://rustup.rs)"
}

# The target of the release binary: musl's start-up executes no CPUID, which traps in virtual machines, and its C library is
# part of Rust's own distribution. Where it cannot be had, the host's target does the same more slowly.
static_target() {
    local host musl
    host=$(rustc -vV | sed -n 's/^host: //p')
    musl=${host%-gnu}-musl
    if [ -d "$(rustc --print target-libdir --target "$musl")" ] || rustup target add "$musl" >&2; then
        echo "$musl"
    else
        echo "target $musl is missing and cannot be added: building for $host" >&2
        echo "$host"
    fi
}

# The static target of an architecture; rustup brings its standard library.
static_target_of() { # ARCHITECTURE
    local musl=$1-unknown-linux-musl
    grep -qF "[target.$musl]" .cargo/config.toml || fail "$1: unknown; take aarch64 or i686"
    [ -d "$(rustc --print target-libdir --target "$musl")" ] || rustup target add "$musl" >&2 ||
        fail "the standard library of $musl is missing and cannot be added"
    echo "$musl"
}

# Prints the path of the release binary, built if need be; $RRUNTIME names another one.
release_binary() {
    if [ -n "${RRUNTIME:-}" ]; then
        [ -x "$RRUNTIME" ] || fail "RRUNTIME=$RRUNTIME is not an executable file"
        realpath "$RRUNTIME"
        return
    fi
    need_rust
    build_release "$(static_target)"
}

# The same for another architecture.
foreign_binary() { # ARCHITECTURE
    local target
    need_rust
    target=$(static_target_of "$1") || exit
    build_release "$target"
}

build_release() { # TARGET
    need gcc libc6-dev # for another architecture they make the macros, which run here
    RRUNTIME_COMMIT=$(git rev-parse --short HEAD 2>/dev/null || true) \
        cargo build --release --locked --bin rruntime --target "$1" --message-format=json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | grep .
}
