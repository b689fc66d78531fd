# Debian of another suite in a directory, from where this machine's own packages come; sourced, after hack/common.sh.
# shellcheck shell=bash

# The line of apt's sources for a suite.
sources() { # SUITE
    local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -n "$(apt-get indextargets 'Created-By: Packages' 'Origin: Debian')" ] || as_root apt-get update -q >&2
    uri=$(apt-get indextargets --format '$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
        sed -n 's/^Debian main //p;' | sed -n 1p)
    [ -n "$uri" ] || fail "apt knows no source of Debian's packages here: this is made of those"
    echo "deb [signed-by=$keyring] $uri $1 main"
}

# bootstrap SUITE ROOT ARG...: nothing of it is documentation.
bootstrap() {
    local list
    list=$(sources "$1")
    unshare --mount --propagation private mmdebstrap --quiet --mode=root --format=directory --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "${@:3}" "$1" "$2" "$list" >&2
}
