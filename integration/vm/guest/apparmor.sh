#!/bin/bash
# AppArmor of a real kernel: containers under a profile, and a runtime that is itself confined, as in a container of LXC.
#
# Runs as root inside the machine of integration/vm/run, in a directory with rruntime and bundle:
#   integration/vm/run -- ./apparmor.sh
# Prints a line for each thing that holds; exits 1 when one does not. Elsewhere it says why it is left out.
set -uo pipefail
if ! grep -qs Y /sys/module/apparmor/parameters/enabled || ! command -v apparmor_parser >/dev/null || ! command -v aa-exec >/dev/null ||
    [ "$(id -u)" != 0 ]; then
    echo "SKIP: needs root, AppArmor, apparmor_parser and aa-exec" >&2
    [ -z "${CI:-}" ] # in hack/test the machine has all of it
    exit
fi
cd "$(dirname "$0")" || exit
here=$PWD
passed=0 failed=0

# is WHAT EXPECTED ACTUAL
is() {
    if [ "$2" = "$3" ]; then
        echo "ok: $1"
        passed=$((passed + 1))
    else
        printf 'FAILED: %s\n  expected: %s\n  is:       %s\n' "$1" "$2" "$3"
        failed=$((failed + 1))
    fi
}
# has WHAT PART WHOLE
has() { case $3 in *"$2"*) is "$1" "" "" ;; *) is "$1" "…$2…" "$3" ;; esac; }

# The profiles: of a container, as Docker's; of the container that a runtime runs in, as LXC, Incus and Proxmox write it, and
# others that deny the runtime one thing more. Abi 3.0 has no rules for user namespaces, which are allowed then.
most='capability, network, file, mount, umount, pivot_root, ptrace, signal, unix, dbus,'
lxc="$most deny /proc/sys/[^kn]*{,/**} wklx, deny /sys/[^fdck]*{,/**} wklx,"
attached='flags=(attach_disconnected,mediate_deleted)'
apparmor_parser --replace --skip-cache <<END || exit
abi <abi/3.0>,
profile rrtest-app $attached { capability, network, file, signal, ptrace, unix, deny /forbidden w, deny mount, }
profile rrtest-other $attached { capability, network, file, signal, ptrace, unix, }
profile rrtest-lxc $attached { $lxc change_profile, }
profile rrtest-strict $attached { $lxc deny /[0-9]*/** w, change_profile, }
profile rrtest-narrow $attached { $lxc }
profile rrtest-disconnected { $lxc change_profile, }
profile rrtest-mountless $attached { capability, network, file, signal, ptrace, unix, change_profile, }
END
apparmor_parser --replace --skip-cache <<END || exit
abi <abi/4.0>,
profile rrtest-userless $attached { $most change_profile, }
END

# config JQ-FILTER: changes the bundle.
mkdir -p /tmp/apparmor/bundle && cp -a bundle/rootfs /tmp/apparmor/bundle/ || exit
config() {
    jq '.process.terminal = false | .process.noNewPrivileges = false |
        .process.args = ["cat", "/proc/self/attr/current"] |'" $1" bundle/config.json >/tmp/apparmor/bundle/config.json
}
r=("$here/rruntime" --root /tmp/apparmor/state)
run() { timeout 60 "${r[@]}" run --bundle /tmp/apparmor/bundle aa 2>&1 </dev/null; }
check() { "${r[@]}" check /tmp/apparmor/bundle 2>&1; }
# confined PROFILE COMMAND...: also functions of this script.
confined() {
    local profile=$1
    shift
    export -f run check
    declare -p r >/tmp/apparmor/words
    aa-exec -p "$profile" -- bash -c '. /tmp/apparmor/words; "$@"' bash "$@"
}
# agree WHAT PROFILE PART: both `run` and `check` fail, and say this.
agree() {
    local told status
    for verb in run check; do
        told=$(confined "$2" $verb)
        status=$?
        is "$1: $verb fails" 1 "$status"
        has "$1: $verb says why" "$3" "$told"
    done
    is "$1: nothing is left" "" "$(ls /tmp/apparmor/state 2>/dev/null)"
}
sysctl='.linux.sysctl = {"net.ipv4.ip_unprivileged_port_start": "0", "kernel.msgmax": "4242"} |
    .process.args = ["sh", "-c", "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax"]'
mapped='.linux.namespaces += [{"type": "user"}] | .linux.uidMappings = [{"containerID": 0, "hostID": 0, "size": 1000}] |
    .linux.gidMappings = .linux.uidMappings'
app='.process.apparmorProfile = "rrtest-app"'

echo "# a container under a profile"
config "$app"
is "it is the program's" "rrtest-app (enforce)" "$(run)"
is "check agrees" "fine: root can run this bundle" "$(check | tail -n 1)"
config "$app"' | .root.readonly = false | .process.args = ["sh", "-c", "touch /allowed && touch /forbidden"]'
has "it is in force" "/forbidden: Permission denied" "$(run)"
config "$app | .process.noNewPrivileges = true"
is "with noNewPrivileges" "rrtest-app (enforce)" "$(run)"
config '.process.apparmorProfile = "rrtest-app//&rrtest-other"'
is "two of them" "rrtest-app//&rrtest-other (enforce)" "$(run)"
config '.process.apparmorProfile = "&rrtest-app"'
is "on top of the runtime's" "rrtest-app//&unconfined (enforce)" "$(run)"
config '.process.apparmorProfile = "unconfined"'
is "none" "unconfined" "$(run)"
config "$app"' | .linux.namespaces |= map(select(.type != "pid"))'
is "in the host's pid namespace" "rrtest-app (enforce)" "$(run)"

echo "# exec"
config "$app | "'.process.args = ["sleep", "600"]'
"${r[@]}" run --detach --bundle /tmp/apparmor/bundle aa </dev/null >/dev/null || failed=$((failed + 1))
is "exec has the container's" "rrtest-app (enforce)" "$("${r[@]}" exec aa cat /proc/self/attr/current)"
is "exec --apparmor" "rrtest-other (enforce)" "$("${r[@]}" exec --apparmor rrtest-other aa cat /proc/self/attr/current)"
told=$("${r[@]}" exec --apparmor rrtest-none aa true 2>&1)
is "exec with one that is not loaded fails" 255 $?
has "and says so" '"rrtest-none": no such profile is loaded; load it with apparmor_parser' "$told"
is "exec of a confined runtime" "rrtest-app (enforce)" "$(confined rrtest-lxc "${r[@]}" exec aa cat /proc/self/attr/current)"
"${r[@]}" delete --force aa

echo "# a runtime that is confined"
for profile in rrtest-lxc rrtest-strict; do
    config .
    is "$profile: a container has it, too" "$profile (enforce)" "$(confined $profile run)"
    config "$app"
    is "$profile: a profile" "rrtest-app (enforce)" "$(confined $profile run)"
    config "$sysctl"
    is "$profile: kernel parameters" $'0\n4242' "$(confined $profile run)"
    is "$profile: check agrees" "fine: root can run this bundle" "$(confined $profile check | tail -n 1)"
done
config "$app"' | .linux.namespaces |= map(select(.type != "pid"))'
is "a profile, in the host's pid namespace" "rrtest-app (enforce)" "$(confined rrtest-strict run)"
config "$app | .process.noNewPrivileges = true"
is "with noNewPrivileges on top of its own" "rrtest-app//&rrtest-lxc (enforce)" "$(confined rrtest-lxc run)"
config "$sysctl"
covered() { # as LXC's proc:mixed
    mount --make-rprivate / && mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && run
}
export -f covered
is "kernel parameters where /proc/sys is covered" $'0\n4242' "$(confined rrtest-lxc unshare --mount bash -c '. /tmp/apparmor/words; covered')"
is "the host's /proc is as it was" 1 "$(grep -c ' /proc ' /proc/self/mountinfo)"
config "$sysctl | $mapped"
is "kernel parameters in a user namespace" $'0\n4242' "$(confined rrtest-lxc run)"

echo "# what is denied"
config '.process.apparmorProfile = "rrtest-none"'
agree "a profile that is not loaded" unconfined '"rrtest-none": no such profile is loaded; load it with apparmor_parser: no such file or directory (ENOENT)'
config "$app"
agree "a runtime that may not change its profile" rrtest-narrow 'add "change_profile,"'
config .
agree "a profile without attach_disconnected" rrtest-disconnected 'needs flags=(attach_disconnected)'
config "$sysctl"' | .linux.sysctl = {"fs.mqueue.queues_max": "7"}'
agree "a kernel parameter" rrtest-lxc 'that this runtime is confined by does not allow it: permission denied (EACCES)'
config .
agree "a runtime that may not mount" rrtest-mountless 'allows no mounts (AppArmor: add "mount, umount, pivot_root," to it): permission denied (EACCES)'
config "$mapped"
agree "a runtime that may not make user namespaces" rrtest-userless 'allows no user namespace (AppArmor: add "userns," to it): permission denied (EACCES)'

if command -v podman >/dev/null; then
    echo "# Podman"
    podman=(timeout 100 podman --runtime "$here/rruntime" --cgroup-manager cgroupfs)
    cat=(cat /proc/self/attr/current)
    has "has a profile of its own" "containers-default-" "$("${podman[@]}" run --rm --network none --rootfs /tmp/apparmor/bundle/rootfs "${cat[@]}" 2>&1)"
    is "--security-opt apparmor" "rrtest-app (enforce)" "$("${podman[@]}" run --rm --network none --security-opt apparmor=rrtest-app --rootfs /tmp/apparmor/bundle/rootfs "${cat[@]}" 2>&1)"
    "${podman[@]}" run --detach --name aa --network none --rootfs /tmp/apparmor/bundle/rootfs sleep 600 >/dev/null || failed=$((failed + 1))
    has "exec" "containers-default-" "$("${podman[@]}" exec aa "${cat[@]}" 2>&1)"
    "${podman[@]}" rm --force --time 0 aa >/dev/null
    has "in a container of LXC" "containers-default-" "$(confined rrtest-lxc "${podman[@]}" run --rm --network none --rootfs /tmp/apparmor/bundle/rootfs "${cat[@]}" 2>&1)"
fi
if command -v dockerd >/dev/null; then
    echo "# Docker"
    mkdir -p /etc/docker
    printf '{"runtimes": {"rruntime": {"path": "%s"}}, "default-runtime": "rruntime", "bridge": "none", "iptables": false, %s}\n' \
        "$here/rruntime" '"ip6tables": false, "exec-opts": ["native.cgroupdriver=cgroupfs"]' >/etc/docker/daemon.json
    dockerd >/tmp/apparmor/dockerd 2>&1 &
    dockerd=$!
    for _ in {1..60}; do
        ! docker version >/dev/null 2>&1 || break
        sleep 1
    done
    docker=(timeout 100 docker) cat=(cat /proc/self/attr/current)
    tar -C /tmp/apparmor/bundle/rootfs -c . | "${docker[@]}" import -c 'ENV PATH=/bin' - busybox >/dev/null || tail /tmp/apparmor/dockerd
    is "has a profile of its own" "docker-default (enforce)" "$("${docker[@]}" run --rm --network none busybox "${cat[@]}" 2>&1)"
    is "--security-opt apparmor" "rrtest-app (enforce)" "$("${docker[@]}" run --rm --network none --security-opt apparmor=rrtest-app busybox "${cat[@]}" 2>&1)"
    is "--privileged" "unconfined" "$("${docker[@]}" run --rm --network none --privileged busybox "${cat[@]}" 2>&1)"
    "${docker[@]}" run --detach --name aa --network none busybox sleep 600 >/dev/null || failed=$((failed + 1))
    is "exec" "docker-default (enforce)" "$("${docker[@]}" exec aa "${cat[@]}" 2>&1)"
    is "exec --privileged leaves it, as Docker has it" "docker-default (enforce)" "$("${docker[@]}" exec --privileged aa "${cat[@]}" 2>&1)"
    "${docker[@]}" rm --force aa >/dev/null
    told=$("${docker[@]}" run --rm --network none --security-opt apparmor=rrtest-none busybox true 2>&1)
    is "one that is not loaded fails, with Docker's status for the words of ENOENT" 127 $?
    has "and says so" "no such profile is loaded; load it with apparmor_parser" "$told"
    kill $dockerd && wait $dockerd
fi
printf 'test result: %s. %d passed; %d failed\n' "$([ $failed = 0 ] && echo ok || echo FAILED)" $passed $failed
[ $failed = 0 ]
