# What the checks of an engine share; sourced, in a room or in integration/vm's machine.
# shellcheck shell=bash

passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)) && echo "ok     $1"; }
bad() { # NAME WHAT_IT_IS WHAT_IT_SHOULD_BE
    failed=$((failed + 1))
    printf 'FAILED %s\n       is:        %s\n       should be: %s\n' "$1" "$2" "$3"
}
skip() { skipped=$((skipped + 1)) && echo "skip   $1: $2"; } # NAME REASON
# controlled NAME CONTROLLER...: whether the room has these; else the check is skipped.
controlled() {
    local controller missing=''
    for controller in "${@:2}"; do
        [ -d "/sys/fs/cgroup/$controller" ] || grep -qsw "$controller" /sys/fs/cgroup/cgroup.controllers || missing+=" $controller"
    done
    [ -z "$missing" ] || { skip "$1" "this room's cgroups have no controller$missing" && false; }
}
# is NAME EXPECTED ACTUAL
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "$3" "$2"; fi; }
# has NAME PART WHOLE
has() { case $3 in *"$2"*) ok "$1" ;; *) bad "$1" "$3" "...$2..." ;; esac; }
# hasnt NAME PART WHOLE
hasnt() { case $3 in *"$2"*) bad "$1" "$3" "without $2" ;; *) ok "$1" ;; esac; }
# fine NAME COMMAND...: succeeds; its output is shown if not.
fine() {
    local name=$1 output status=0
    output=$("${@:2}" 2>&1 </dev/null) || status=$?
    if [ $status = 0 ]; then ok "$name"; else bad "$name" "status $status: $output" "status 0"; fi
}
# ends NAME STATUS COMMAND...
ends() {
    local name=$1 expected=$2 output status=0
    output=$("${@:3}" 2>&1 </dev/null) || status=$?
    if [ "$status" = "$expected" ]; then ok "$name"; else bad "$name" "status $status: $output" "status $expected"; fi
}
# within SECONDS COMMAND...: tries until it succeeds.
within() {
    local end=$((SECONDS + $1))
    until "${@:2}" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
# on_terminal COMMAND: with a terminal of its own as all of its streams; what it showed, without the returns.
on_terminal() { script -qec "$1" /dev/null </dev/null | tr -d '\r'; }
# The closing line, in the form of cargo's tests.
result() {
    printf 'test result: %s. %d passed; %d failed; %d ignored; in %d s\n' "$([ $failed = 0 ] && echo ok || echo FAILED)" \
        $passed $failed $skipped $SECONDS
    [ $failed = 0 ]
}
# a_rootfs DIRECTORY: busybox with a few files around it.
a_rootfs() {
    local applet
    mkdir -p "$1"/{bin,etc,proc,sys,dev,tmp,root,home,var/run}
    cp /bin/busybox "$1/bin/"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/home:/bin/sh' >"$1/etc/passwd"
    echo 'root:x:0:
nogroup:x:65534:' >"$1/etc/group"
    echo 'not executable' >"$1/etc/text"
    chmod 1777 "$1/tmp"
}
# an_image FILE NAME [COMMAND_JSON]: an OCI image archive of that rootfs, by itself.
an_image() {
    local dir digest config size diff
    dir=$(mktemp -d)
    mkdir -p "$dir/image/blobs/sha256"
    a_rootfs "$dir/rootfs"
    blob() { # FILE: moves it to where its digest says, in $digest and $size
        digest=$(sha256sum "$1" | cut -d ' ' -f 1) size=$(stat -c %s "$1")
        mv "$1" "$dir/image/blobs/sha256/$digest"
    }
    tar -C "$dir/rootfs" --owner=0 --group=0 -cf "$dir/layer" .
    blob "$dir/layer"
    diff=$digest
    local layer='{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:'$digest'", "size": '$size'}'
    echo '{"architecture": "'"$(dpkg --print-architecture)"'", "os": "linux", "config": {"Env": ["PATH=/bin", "MARK=image"], "Cmd": '"${3:-[\"sh\"]}"', "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:'"$diff"'"]}}' >"$dir/config"
    blob "$dir/config"
    config='{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:'$digest'", "size": '$size'}'
    echo '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": '"$config"', "layers": ['"$layer"']}' >"$dir/manifest"
    blob "$dir/manifest"
    echo '{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:'"$digest"'", "size": '"$size"',
        "annotations": {"io.containerd.image.name": "'"$2"'", "org.opencontainers.image.ref.name": "'"${2##*:}"'"}}]}' >"$dir/image/index.json"
    echo '{"imageLayoutVersion": "1.0.0"}' >"$dir/image/oci-layout"
    tar -C "$dir/image" -cf "$1" .
    rm -rf "$dir"
}
