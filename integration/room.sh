# A room for engines: Debian with containerd, Docker and Podman from its packages, made once below target/room, and entered in
# namespaces and cgroups of its own. Whatever happens in there is forgotten. Sourced, after hack/common.sh and debian.sh.
#
#   RRUNTIME_ROOM_SUITE   the Debian that the engines come from: trixie unless said; sid has the newest
#   RRUNTIME_ROOM_LAYOUT  v1 or v2: the room sees only these cgroups of the host's, which may have both (on which crun refuses)
# shellcheck shell=bash

room_suite=${RRUNTIME_ROOM_SUITE:-trixie}
room_layout=${RRUNTIME_ROOM_LAYOUT:-}
room_packages=(containerd docker.io docker-cli podman crun conmon netavark aardvark-dns slirp4netns passt fuse-overlayfs catatonit uidmap dbus-user-session
    iptables nftables iproute2 iputils-ping procps psmisc util-linux busybox-static jq strace python3-minimal ca-certificates)

# make_room: its root in $room, made again when what makes it has changed.
make_room() {
    local work made lock
    work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/room
    room=$work/$room_suite
    mkdir -p "$work"
    exec {lock}>"$work/lock"
    flock "$lock"
    made=$({ declare -p room_packages && declare -f unpack_room && cat "$top/integration/debian.sh"; } | sha256sum)
    if [ "$(cat "$room.made" 2>/dev/null)" != "$made" ]; then
        need mmdebstrap
        section "unpacking Debian $room_suite with its engines"
        rm -rf "$room"
        unpack_room
        echo "$made" >"$room.made"
    fi
    exec {lock}>&-
}
unpack_room() { # mirrors of sid are older than the week that its lists are valid for; who signed them is still checked
    bootstrap "$room_suite" "$room" --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --include="$(IFS=, && echo "${room_packages[*]}")"
}

# in_room RUNTIME FILE... -- COMMAND ARG...: puts the files into /room of it, the first as "rruntime", whatever runtime it is,
# and runs the command there, as root. Ends the script, with the command's status; whatever else ends it takes the room along.
in_room() {
    local files=() name=rruntime-test-room-$$ hierarchy dir v2='' status=0
    room_cgroups=() room_process=''
    while [ "$1" != -- ]; do
        files+=("$(realpath "$1")") && shift
    done
    shift
    trap 'leave_room' EXIT
    trap 'exit 130' INT TERM HUP
    for hierarchy in $(room_hierarchies); do
        dir=$hierarchy$(room_parent "$hierarchy")/$name
        mkdir "$dir"
        room_cgroups+=("$dir")
        if [ "$(stat -fc %T "$dir")" = cgroup2fs ]; then
            v2=$dir
        elif [ -e "$dir/cpuset.cpus" ]; then
            cat "$dir/../cpuset.cpus" >"$dir/cpuset.cpus"
            cat "$dir/../cpuset.mems" >"$dir/cpuset.mems"
        fi
    done
    (
        for dir in "${room_cgroups[@]}"; do
            echo "$BASHPID" >"$dir/cgroup.procs" || exit 125 # nothing of it happens in a cgroup of others
        done
        # On v2 only leaves may have processes if others are to have controllers: the room's root is not where we stay.
        # shellcheck disable=SC2016 # expanded by the inner shell
        exec unshare --cgroup sh -ec '[ -z "$0" ] || {
                mkdir "$0/room"
                echo $$ >"$0/room/cgroup.procs"
                for controller in $(cat "$0/cgroup.controllers"); do
                    echo "+$controller" >"$0/cgroup.subtree_control"
                done
            }
            exec "$@"' "$v2" \
            unshare --mount --propagation private --pid --fork --kill-child --net --uts --ipc \
            "$top/integration/room/inside" "$room" "$room_layout" "${files[@]}" -- "$@"
    ) <&0 &
    room_process=$!
    wait "$room_process" || status=$?
    exit "$status"
}

# shellcheck disable=SC2317 # called by the trap
leave_room() {
    local dir
    [ -z "$room_process" ] || { kill -KILL "$room_process" && wait "$room_process"; } 2>/dev/null || true # and with it its child, pid 1 in there
    for dir in "${room_cgroups[@]}"; do
        find "$dir" -name freezer.state -exec sh -c 'echo THAWED >"$1"' sh {} \; 2>/dev/null || true
        for _ in {1..50}; do # the kernel takes its time with those who have just ended
            find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.1
        done
    done
}

# The mount points of the host's cgroups, and where in one of them the room's cgroup is made: in our own, or where that cannot
# give controllers, as we are in it (v2), in the nearest above it that gives the most.
room_hierarchies() { awk '($3 == "cgroup" || $3 == "cgroup2") && $2 ~ "^/sys/fs/cgroup" { print $2 }' /proc/self/mounts; }
room_parent() { # MOUNT_POINT
    local path best most=-1 number
    path=$(room_own "$1")
    best=$path
    while [ "$(stat -fc %T "$1")" = cgroup2fs ]; do
        number=$(wc -w <"$1$path/cgroup.subtree_control")
        [ "$number" -le "$most" ] || best=$path most=$number
        [ -n "$path" ] || break
        path=${path%/*}
    done
    echo "$best"
}
room_own() { # MOUNT_POINT
    local controllers path
    while IFS=: read -r _ controllers path; do
        controllers=${controllers#name=}
        if [ "$(stat -fc %T "$1")" = cgroup2fs ]; then [ -z "$controllers" ]; else [[ ",$controllers," == *",${1##*/},"* || $controllers == "${1##*/}" ]]; fi || continue
        [ "$path" = / ] || echo "$path"
        return
    done </proc/self/cgroup
}
