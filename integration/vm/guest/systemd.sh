#!/bin/bash
# Scopes of a real systemd: made, limited, reloaded, updated, left without a trace; for root and for a user.
#
# Runs as root inside the machine of integration/vm/run, in a directory with rruntime and bundle:
#   integration/vm/run -- ./systemd.sh
# Prints a line for each thing that holds; exits 1 when one does not. Elsewhere it says why it is left out.
set -uo pipefail
if ! [ -d /run/systemd/system ] || ! [ -f /sys/fs/cgroup/cgroup.controllers ] || [ "$(id -u)" != 0 ]; then
    echo "SKIP: needs root, cgroup v2 and systemd" >&2
    exit 0
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

# bundle DIRECTORY JQ-FILTER: a copy with another configuration.
bundle() {
    mkdir -p "$1"
    [ -e "$1/rootfs" ] || cp -a bundle/rootfs "$1/rootfs"
    jq ".process.terminal = false | .process.args = [\"sleep\", \"600\"] |
        .linux.namespaces |= (map(select(.type != \"cgroup\")) + [{type: \"cgroup\"}]) | $2" bundle/config.json >"$1/config.json"
}
property() { systemctl show --value -p "$2" "$1"; }

id=vmtest unit=engine-vmtest.scope
top=/sys/fs/cgroup/vm.slice/vm-test.slice/$unit
limits='.linux.cgroupsPath = "vm-test.slice:engine:vmtest" | .linux.resources = {
    memory: {limit: 67108864, reservation: 33554432, swap: 67108864}, pids: {limit: 50},
    cpu: {shares: 512, quota: 33333, period: 100000, cpus: "0", mems: "0"},
    unified: {"memory.high": "50331648"},
    devices: [{allow: false, access: "rwm"}]} |
    .annotations = {"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.CollectMode": "\"inactive\""}'

echo "# $(systemctl --version | head -1); $(uname -r)"
bundle /tmp/full "$limits"
r=("$here/rruntime" --systemd-cgroup --root /tmp/state)
before=$(systemctl list-units --all --plain --no-legend --type=scope | wc -l)
"${r[@]}" create --bundle /tmp/full $id </dev/null >/dev/null || failed=$((failed + 1))
pid=$("${r[@]}" state $id | jq .pid)
is "the process is in the scope" "0::/vm.slice/vm-test.slice/$unit" "$(cat /proc/"$pid"/cgroup)"
is "and nobody else" "$pid" "$(cat $top/cgroup.procs)"
is "systemd calls it running" "running active" "$(property $unit SubState) $(property $unit ActiveState)"
shown() {
    for name in MemoryMax MemoryLow MemoryHigh MemorySwapMax TasksMax CPUWeight CPUQuotaPerSecUSec AllowedCPUs AllowedMemoryNodes \
        Delegate Slice DefaultDependencies TimeoutStopUSec CollectMode Description; do
        printf '%s ' "$(property $unit $name)"
    done
}
is "systemd knows its limits and properties" \
    "67108864 33554432 50331648 0 50 59 340ms 0 0 yes vm-test.slice no 7s inactive rruntime container vmtest " "$(shown)"
files() { (cd $top && cat memory.max memory.low memory.high memory.swap.max pids.max cpu.weight cpu.max cpuset.cpus cpuset.mems | tr '\n' ' '); }
exact="67108864 33554432 50331648 0 50 59 33333 100000 0 0 "
is "the kernel knows them exactly" "$exact" "$(files)"
"${r[@]}" start $id
devices() { "${r[@]}" exec $id sh -c 'mknod /tmp/kmsg c 1 11 2>/dev/null; (: </dev/null) && echo null; (: </tmp/kmsg) 2>/dev/null && echo kmsg'; }
is "devices are restricted" null "$(devices)"
systemctl daemon-reload
is "a daemon-reload leaves the properties" \
    "67108864 33554432 50331648 0 50 59 340ms 0 0 yes vm-test.slice no 7s inactive rruntime container vmtest " "$(shown)"
is "and the limits" "$exact" "$(files)"
is "and the device rules" null "$(devices)"
systemctl daemon-reexec
is "so does a daemon-reexec" "${exact}null" "$(files)$(devices)"
systemctl set-property --runtime $unit TasksMax=55
is "somebody else's change does not touch the device rules" "55 null" "$(cat $top/pids.max) $(devices)"
is "exec is in the scope, the root of its namespace" "0::/" "$("${r[@]}" exec $id cat /proc/self/cgroup)"
"${r[@]}" exec -d --pid-file /tmp/pid $id sleep 500
is "seen from outside as well" "0::/vm.slice/vm-test.slice/$unit" "$(cat /proc/"$(cat /tmp/pid)"/cgroup)"
"${r[@]}" update --memory 134217728 --memory-swap 268435456 --pids-limit 60 --cpu-share 1024 --cpuset-cpus 0-1 $id || failed=$((failed + 1))
is "update tells systemd" "134217728 134217728 60 100 0-1" \
    "$(for name in MemoryMax MemorySwapMax TasksMax CPUWeight AllowedCPUs; do property $unit $name; done | tr '\n' ' ' | sed 's/ $//')"
is "and the kernel" "134217728 33554432 50331648 134217728 60 100 33333 100000 0-1 0 " "$(files)"
is "and keeps the devices" null "$(devices)"
"${r[@]}" update --pids-limit 70 --cpuset-cpus 77 $id 2>/tmp/error && failed=$((failed + 1))
is "an update that fails is taken back, by systemd too" "60 60 0-1 0-1" \
    "$(cat $top/pids.max) $(property $unit TasksMax) $(cat $top/cpuset.cpus) $(property $unit AllowedCPUs)"
"${r[@]}" pause $id
is "pause" paused "$("${r[@]}" state $id | jq -r .status)"
"${r[@]}" resume $id
"${r[@]}" kill $id KILL
for _ in $(seq 100); do [ "$("${r[@]}" state $id | jq -r .status)" = stopped ] && break; sleep 0.1; done
"${r[@]}" delete $id || failed=$((failed + 1))
is "delete leaves no unit" "$before" "$(systemctl list-units --all --plain --no-legend --type=scope | wc -l)"
is "and no cgroup" "gone" "$([ -e $top ] || echo gone)"

# What goes wrong.
bundle /tmp/oom '.linux.cgroupsPath = "vm-test.slice:engine:vmtest" | .linux.resources = {memory: {limit: 16777216, swap: 16777216}} |
    .process.args = ["sh", "-c", "tail -c 64m /dev/zero | tail"]'
"${r[@]}" run --bundle /tmp/oom $id </dev/null >/dev/null 2>&1
is "a container that runs out of memory leaves no unit" "$before" "$(systemctl list-units --all --plain --no-legend --type=scope | wc -l)"
systemd-run --quiet --scope --unit=engine-vmtest sleep 300 &
for _ in $(seq 100); do systemctl is-active --quiet $unit && break; sleep 0.1; done
has "a unit that is somebody else's is refused" "a unit of that name runs already" \
    "$("${r[@]}" create --bundle /tmp/full $id 2>&1 </dev/null)"
is "and left alone" active "$(property $unit ActiveState)"
systemctl stop $unit
bundle /tmp/bad "$limits | .annotations[\"org.systemd.property.NoSuchThing\"] = \"5\""
has "a property that nobody knows is refused" "NoSuchThing" "$("${r[@]}" create --bundle /tmp/bad $id 2>&1 </dev/null)"
bundle /tmp/bad "$limits | .process.args = [\"/nonexistent\"]"
has "a program that is not there" "nonexistent" "$("${r[@]}" create --bundle /tmp/bad $id 2>&1 </dev/null)"
is "leaves no unit" "$before" "$(systemctl list-units --all --plain --no-legend --type=scope | wc -l)"

# One cgroup below.
bundle /tmp/sub "$limits | .annotations[\"run.oci.systemd.subgroup\"] = \"container\""
"${r[@]}" run --detach --bundle /tmp/sub $id </dev/null >/dev/null || failed=$((failed + 1))
pid=$("${r[@]}" state $id | jq .pid)
is "a subgroup" "0::/vm.slice/vm-test.slice/$unit/container" "$(cat /proc/"$pid"/cgroup)"
is "has the limits, as the scope has" "50 50" "$(cat $top/container/pids.max) $(cat $top/pids.max)"
"${r[@]}" exec $id true || failed=$((failed + 1))
"${r[@]}" delete --force $id || failed=$((failed + 1))
is "and goes with the scope" "$before gone" \
    "$(systemctl list-units --all --plain --no-legend --type=scope | wc -l) $([ -e $top ] || echo gone)"

# Without a bus, systemd's own socket serves.
bundle /tmp/plain '.'
DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent "${r[@]}" create --bundle /tmp/plain $id </dev/null 2>/tmp/error && failed=$((failed + 1))
has "a bus that is not there is named" "/nonexistent: connect: no such file or directory (ENOENT)" "$(cat /tmp/error)"
mount --bind /dev/null /run/dbus/system_bus_socket
"${r[@]}" run --detach --bundle /tmp/plain $id </dev/null >/dev/null || failed=$((failed + 1))
umount /run/dbus/system_bus_socket
is "without a bus" "active" "$(property rruntime-$id.scope ActiveState)"
is "in the slice of the system" "system.slice" "$(property rruntime-$id.scope Slice)"
"${r[@]}" delete --force $id || failed=$((failed + 1))
is "no unit" "$before" "$(systemctl list-units --all --plain --no-legend --type=scope | wc -l)"

# A user, from a session that is not below the user's manager.
user=tester
if uid=$(id -u $user 2>/dev/null) && [ -S "/run/user/$uid/bus" ]; then
    home=$(mktemp -d -p "/run/user/$uid") && cp -a bundle rruntime "$home/" && chown -R $user: "$home"
    as() { setpriv --reuid=$user --regid=$user --init-groups env HOME="$home" XDG_RUNTIME_DIR="/run/user/$uid" "$@"; }
    mount -o remount,exec "/run/user/$uid"
    u=("$home/rruntime" --systemd-cgroup --root "$home/state")
    rm "$home/bundle/config.json"
    as sh -c "cd $home/bundle && $home/rruntime spec --rootless"
    jq '.process.terminal = false | .process.args = ["sleep", "600"] |
        .linux.resources = {memory: {limit: 67108864}, pids: {limit: 50}}' "$home/bundle/config.json" >"$home/c" &&
        as cp "$home/c" "$home/bundle/config.json"
    as "${u[@]}" run --detach --bundle "$home/bundle" $id </dev/null >/dev/null || failed=$((failed + 1))
    manager=/user.slice/user-$uid.slice/user@$uid.service/user.slice
    pid=$(as "${u[@]}" state $id | jq .pid)
    is "a user's scope" "0::$manager/rruntime-$id.scope" "$(cat /proc/"$pid"/cgroup)"
    is "is limited" "67108864 50" "$(cat /sys/fs/cgroup"$manager"/rruntime-$id.scope/memory.max) $(cat /sys/fs/cgroup"$manager"/rruntime-$id.scope/pids.max)"
    is "the user's systemd knows" "67108864" "$(as systemctl --user show --value -p MemoryMax rruntime-$id.scope)"
    as "${u[@]}" exec -d --pid-file "$home/pid" $id sleep 500 || failed=$((failed + 1))
    is "exec gets in from outside" "0::$manager/rruntime-$id.scope" "$(cat /proc/"$(cat "$home/pid")"/cgroup)"
    as "${u[@]}" update --pids-limit 60 $id || failed=$((failed + 1))
    is "update" "60 60" "$(cat /sys/fs/cgroup"$manager"/rruntime-$id.scope/pids.max) $(as systemctl --user show --value -p TasksMax rruntime-$id.scope)"
    as "${u[@]}" pause $id && is "pause" paused "$(as "${u[@]}" state $id | jq -r .status)" && as "${u[@]}" resume $id
    as "${u[@]}" delete --force $id || failed=$((failed + 1))
    is "no unit of the user's" "0" "$(as systemctl --user list-units --all --plain --no-legend 'rruntime-*' | wc -l)"
    has "without a way to the user's systemd" "XDG_RUNTIME_DIR" \
        "$(as env -u XDG_RUNTIME_DIR "${u[@]}" create --bundle "$home/bundle" $id 2>&1 </dev/null)"
    rm -rf "$home"
else
    echo "SKIP: a user's systemd: no $user with a manager" >&2
fi
printf 'test result: %s. %d passed; %d failed\n' "$([ $failed = 0 ] && echo ok || echo FAILED)" $passed $failed
[ $failed = 0 ]
