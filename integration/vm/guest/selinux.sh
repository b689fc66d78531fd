#!/bin/bash
# SELinux, enforcing Debian's policy: labels of processes, mounts and terminals arrive, what the policy denies is denied, what it
# does not know is refused by name, `check` says the same, Podman's :Z works.
#
# Runs as root inside the machine of integration/vm/run, in a directory with rruntime, bundle and checks.sh:
#   integration/vm/run --selinux -- ./selinux.sh
# shellcheck disable=SC1091,SC2016 # what is sourced lies beside it; containers expand
set -u
if [ "$(cat /sys/fs/selinux/enforce 2>/dev/null)" != 1 ]; then
    echo "SKIP: needs SELinux, enforcing" >&2
    [ -z "${CI:-}" ] # in hack/test the machine has it
    exit
fi
here=$(realpath "$(dirname "$0")")
cd "$here" || exit
. ./checks.sh
process=system_u:system_r:container_t:s0:c1,c2 file=system_u:object_r:container_file_t:s0:c1,c2
home=/var/lib/containers/labels state=/run/labels
r=("$here/rruntime" --root "$state")
mkdir -p $home
restorecon -R /var/lib/containers

# bundle NAME JQ-FILTER: a container with both labels, whose files have that of mounts, in $home/NAME.
bundle() {
    mkdir -p "$home/$1"
    if [ ! -e "$home/$1/rootfs" ]; then
        cp -a bundle/rootfs "$home/$1/"
        chcon -R "$file" "$home/$1/rootfs"
    fi
    jq --arg process "$process" --arg file "$file" '.process.terminal = false | .process.args = ["sleep", "600"] |
        .root.readonly = false | .process.selinuxLabel = $process | .linux.mountLabel = $file |'"$2" bundle/config.json >"$home/$1/config.json"
}
up() { # NAME ID: the bundle of that name, in the background; its pid in $pid
    "${r[@]}" run --detach --bundle "$home/$2" "$2" </dev/null >/dev/null 2>/tmp/error # it keeps them open
    is "$1" "0 " "$? $(cat /tmp/error)"
    pid=$("${r[@]}" state "$2" | jq .pid)
}
down() { "${r[@]}" delete --force "$1"; }
of_process() { tr -d '\0\n' <"/proc/$1/attr/current"; }
of_file() { stat -c %C "/proc/$pid/root$1"; }
current='tr -d "\0\n" </proc/self/attr/current'
# says NAME STATUS TEXT COMMAND...: ends so, and says that.
says() {
    local output status=0
    output=$("${@:4}" 2>&1 </dev/null) || status=$?
    is "$1: status" "$2" "$status"
    has "$1" "$3" "$output"
}
# refused NAME PLACE TEXT STATUS [TEXT_OF_RUN]: `check` and `run` both refuse the bundle of that name.
refused() {
    says "$1: check" 1 "config.json: $2: $3" "${r[@]}" check --bundle "$home/bad"
    says "$1" "$4" "$2" "${r[@]}" run --bundle "$home/bad" bad
    has "$1: run says why" "${5:-$3}" "$("${r[@]}" run --bundle "$home/bad" bad 2>&1 </dev/null)"
    is "$1: nothing is left" "" "$(ls $state)"
}

echo "# $(uname -r), $(dpkg-query -W -f '${Package} ${Version}' selinux-policy-default), as $(of_process self)"

# Processes.
bundle one .
says "check" 0 "fine: root can run this bundle" "${r[@]}" check --bundle $home/one
up "run" one
is "the first process has the label" "$process" "$(of_process "$pid")"
is "exec has it too" "$process" "$("${r[@]}" exec one sh -c "$current")"
is "exec: and its children" "$process" "$("${r[@]}" exec one sh -c "sh -c '$current'; :")"
is "exec --process-label" "$process,c4" "$("${r[@]}" exec --process-label "$process,c4" one sh -c "$current")"
jq -n --arg label "$process,c4" --arg command "$current" \
    '{args: ["sh", "-c", $command], cwd: "/", env: ["PATH=/bin"], selinuxLabel: $label}' >$home/process.json
is "exec --process with a label" "$process,c4" "$("${r[@]}" exec --process $home/process.json one)"
is "exec --process without one" "$process" \
    "$(jq 'del(.selinuxLabel)' $home/process.json >$home/plain.json; "${r[@]}" exec --process $home/plain.json one)"
says "exec --process-label: unknown" 255 '--process-label: "u:r:none_t:s0": the loaded SELinux policy knows no such label' \
    "${r[@]}" exec --process-label u:r:none_t:s0 one true
says "exec --process-label: denied" 255 'label the session keyring: the loaded SELinux policy allows' \
    "${r[@]}" exec --process-label system_u:object_r:shadow_t:s0 one true

# Mounts.
for path in / /dev /dev/pts /dev/ptmx /dev/shm /dev/mqueue /dev/null /sys/firmware; do
    is "mountLabel: $path" "$file" "$(of_file $path)"
done
is "mountLabel: not what the policy labels" "proc_t sysfs_t cgroup_t" \
    "$(for path in /proc /sys /sys/fs/cgroup; do of_file $path; done | cut -d : -f 3 | tr '\n' ' ' | sed 's/ $//')"
is "what the container makes has it" "$file $file" \
    "$("${r[@]}" exec one touch /tmp/a /dev/shm/a /dev/mqueue/a; echo "$(of_file /tmp/a) $(of_file /dev/shm/a)")"
is "a queue has the type that the policy derives" "system_u:object_r:container_tmpfs_t:s0:c1,c2" "$(of_file /dev/mqueue/a)"
is "masked files are empty" "0" "$("${r[@]}" exec one sh -c 'wc -c </proc/kcore')"
is "devices work" "00" "$("${r[@]}" exec one sh -c 'head -c 1 /dev/zero | hexdump -e "1/1 \"%02x\""; echo >/dev/null')"
down one

mkdir -p $home/{lower,upper,work}
touch $home/lower/below
bundle two '.mounts += [
    {destination: "/over", type: "overlay", source: "overlay",
        options: ["lowerdir='$home'/lower", "upperdir='$home'/upper", "workdir='$home'/work"]},
    {destination: "/own", type: "tmpfs", options: ["context=\"system_u:object_r:container_file_t:s0:c1\""]},
    {destination: "/etc", type: "tmpfs", options: ["tmpcopyup", "ro"]}]'
up "run with an overlay" two
is "mountLabel: an overlay" "$file $file" "$(of_file /over) $(of_file /over/below)"
is "a mount's own label wins, in quotes too" "${file%,c2}" "$(of_file /own)"
is "mountLabel: tmpcopyup" "$file $file" "$(of_file /etc) $(of_file /etc/passwd)"
down two

bundle user '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 0, size: 65536}] |
    .linux.gidMappings = .linux.uidMappings'
up "run in a user namespace" user
is "a user namespace: the labels" "$process $file $file $file" "$(of_process "$pid") $(of_file /dev) $(of_file /dev/pts) $(of_file /dev/mqueue)"
is "a user namespace: exec" "$process" "$("${r[@]}" exec user sh -c "$current")"
down user

# Terminals.
bundle tty '.process.terminal = true | .process.args = ["sh", "-c", "echo on $(tty); echo heard >/dev/console; sleep 600"]'
script -qfec "${r[*]} run --bundle $home/tty tty" $home/typescript </dev/null >/dev/null 2>&1 &
within 30 grep -q heard $home/typescript
pid=$("${r[@]}" state tty | jq .pid)
has "a terminal: works" heard "$(cat $home/typescript)"
is "a terminal: the labels" "$file $file $process" "$(of_file /dev/console) $(of_file /dev/pts/0) $(of_process "$pid")"
script -qec "${r[*]} exec --tty tty sleep 600" /dev/null </dev/null >/dev/null 2>&1 &
within 30 [ -e "/proc/$pid/root/dev/pts/1" ]
is "a terminal of exec" "$file" "$(of_file /dev/pts/1)"
down tty
wait

# Access.
bundle shadow '.mounts += [{destination: "/shadow", type: "bind", source: "/etc/shadow", options: ["bind"]}] |
    .process.args = ["wc", "-c", "/shadow"]'
says "a file of the host's that is bound: denied" 1 "ermission denied" "${r[@]}" run --bundle $home/shadow shadow
bundle plain '.mounts += [{destination: "/shadow", type: "bind", source: "/etc/shadow", options: ["bind"]}] |
    .process.args = ["wc", "-c", "/shadow"] | del(.process.selinuxLabel)'
says "without a label: allowed" 0 "/shadow" "${r[@]}" run --bundle $home/plain plain
bundle other .
chcon -R -l s0:c7,c8 $home/other/rootfs/tmp
bundle other '.process.args = ["ls", "/tmp"]'
says "files of another container: denied" 1 "ermission denied" "${r[@]}" run --bundle $home/other other

# What cannot be.
knows='the loaded SELinux policy knows no such label'
unknown=system_u:system_r:none_t:s0
bundle bad ".process.selinuxLabel = \"$unknown\""
refused "an unknown type" process.selinuxLabel "\"$unknown\": $knows" 1
bundle bad ".linux.mountLabel = \"$unknown\""
refused "an unknown type of mounts" linux.mountLabel "\"$unknown\": $knows" 1
bundle bad '.process.selinuxLabel = "nonsense"'
refused "no label at all" process.selinuxLabel "\"nonsense\": $knows" 1
bundle bad '.process.selinuxLabel = "system_u:object_r:shadow_t:s0"'
refused "a label that is not allowed" process.selinuxLabel '"system_u:object_r:shadow_t:s0": the loaded SELinux policy gives' 1 \
    'label the session keyring: the loaded SELinux policy allows'
chcon -R -t shadow_t $home/bad/rootfs/bin
bundle bad .
refused "a program that is not the container's" process.selinuxLabel "\"$process\": the loaded SELinux policy gives" 1 "file { entrypoint }"

# As runc and crun are labelled, so confined by the policy.
install -m 755 rruntime /usr/local/bin/rruntime
restorecon /usr/local/bin/rruntime
confined() { timeout 60 /usr/local/bin/rruntime "$@" 2>&1 </dev/null | cat; } # it may not write to our files
/usr/local/bin/rruntime run --detach --bundle $home/one confined </dev/null >/dev/null 2>&1
is "confined: run" 0 $?
pid=$(/usr/local/bin/rruntime state confined | cat | jq .pid)
is "confined: the labels" "$process $file $file $file" "$(of_process "$pid") $(of_file /dev) $(of_file /dev/pts) $(of_file /dev/mqueue)"
is "confined: its record" "system_u:object_r:container_runtime_t:s0" "$(stat -c %C /run/rruntime/confined/state.json)"
is "confined: exec" "" "$(confined exec confined true)"
is "confined: delete" "" "$(confined delete --force confined)"

# Podman.
mkdir -p /etc/containers $home/shared $home/private
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
chcon -t container_file_t -l s0:c7,c8 $home/shared # of another container
tar -C bundle/rootfs -cf $home/rootfs.tar .
timeout 60 podman import -c ENV=PATH=/bin -c CMD=sh $home/rootfs.tar busybox 2>&1 | tail -n 1
engine() { timeout 60 podman --runtime /usr/local/bin/rruntime --events-backend file "$@" 2>&1 </dev/null | cat; }
id=$(engine run --detach --network none -v $home/private:/private:Z -v $home/shared:/shared busybox sleep 600 | tail -n 1)
label=$(engine inspect --format '{{.ProcessLabel}}' "$id")
pid=$(engine inspect --format '{{.State.Pid}}' "$id")
has "podman: a label with two categories" "system_u:system_r:container_t:s0:c" "$label"
is "podman: the process has it" "$label" "$(of_process "$pid")"
is "podman: exec too" "$label" "$(engine exec "$id" sh -c "$current")"
is "podman: -v x:/y:Z is the container's" "system_u:object_r:container_file_t:${label#*:*:*:}" "$(stat -c %C $home/private)"
is "podman: which writes there" "" "$(engine exec "$id" sh -c 'echo here >/private/file')"
has "podman: and nowhere else" "ermission denied" "$(engine exec "$id" sh -c 'echo here >/shared/file')"
is "podman: rm" "$id" "$(engine rm --force --time 0 "$id")"
result
