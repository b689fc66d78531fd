# Go programs of other projects, as modules at the versions and with the checksums of a go.mod and go.sum of ours; sourced, after
# hack/common.sh.
# shellcheck shell=bash

# go_below DIRECTORY [MINOR]: the Go tool, of version 1.MINOR (21) at least, with its caches in DIRECTORY. Some Debians have an older
# one, which can bring a newer one as a module, and knows its checksum from the same database as those of all modules.
go_below() {
    local root newer=golang.org/toolchain@v0.0.1-go1.24.11.linux- minor
    export GOMODCACHE=$1/modules GOCACHE=$1/cache GOFLAGS='-mod=readonly -modcacherw' GOTOOLCHAIN=local CGO_ENABLED=0
    need golang-go
    minor=$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -lt "${2:-21}" ] || return 0
    root=$(cd / && go mod download -json "$newer$(go env GOARCH)" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    [ -n "$root" ] || fail "$(go version) is too old, and a newer one cannot be brought: install Go 1.${2:-21}"
    chmod -R +x "$root/bin" "$root/pkg/tool" # modules have no executable files
    PATH=$root/bin:$PATH
}
