# Boots, freezes and goes on with the machine of integration/vm/run, and talks with the agent in it. Sourced.
# shellcheck shell=bash

payload_size=$((128 << 20)) # bytes of the second disk: part of the machine, so the same for every run
boot_limit=300              # seconds
append="console=ttyS0 mitigations=off psi=1 panic=-1 quiet systemd.show_status=auto"
# shellcheck disable=SC2154 # of integration/vm/run
case $layout in
v2 | selinux) append+=" systemd.unified_cgroup_hierarchy=1" ;;
v1) append+=" systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" ;; # the last systemd that can is 257
esac
# The kernel has AppArmor otherwise: one of the two.
[ "$layout" != selinux ] || append+=" security=selinux selinux=1 enforcing=1"

# qemu DIRECTORY ROOT_DISK,OPTION... ARG...: in the background; its pid in $qemu. The ports are pairs of fifos in DIRECTORY.
qemu() {
    local dir=$1 disk=$2 port ports=() name
    for port in control output errors terminal monitor; do
        mkfifo "$dir/$port.in" "$dir/$port.out"
        name="virtserialport,chardev=$port,name=$port"
        ports+=(-chardev "pipe,id=$port,path=$dir/$port")
        [ $port = monitor ] || ports+=(-device "$name")
    done
    # No HPET and no five-level page tables: both are slow under emulation.
    TMPDIR=$dir "${emulator[@]}" -nodefaults -no-user-config -display none -M q35,hpet=off -cpu max,la57=off \
        -accel tcg,thread=multi,tb-size=1024 -smp 2 -m 2048 \
        -kernel "$image/vmlinuz" -initrd "$image/initramfs" \
        -append "$append" \
        -serial "file:$dir/console" -no-reboot \
        -drive "if=virtio,format=raw,cache=unsafe,file=$disk" \
        -drive "if=virtio,format=raw,cache=unsafe,file=$dir/payload.tar" \
        -device virtio-rng-pci -device virtio-serial-pci "${ports[@]}" -mon chardev=monitor,mode=readline \
        "${@:3}" </dev/null >"$dir/qemu" 2>&1 &
    qemu=$!
}

# Waits for a line of the agent, in $line, for so many seconds; QEMU's end is an error.
hear() { # DIRECTORY SECONDS
    local end=$((SECONDS + $2))
    exec {control}<>"$1/control.out"
    until read -r -t 1 line <&$control; do
        [ "$SECONDS" -lt "$end" ] || { complain "$1" "nothing heard from the machine in $2 seconds"; return 1; }
        kill -0 "$qemu" 2>/dev/null || { complain "$1" "QEMU has ended"; return 1; }
    done
    exec {control}>&-
}
complain() { # DIRECTORY WHY
    echo "${self#"$top"/}: $2; the last it said:" >&2
    cat "$1/qemu" >&2
    tail -n 30 "$1/console" >&2
}

# One machine is built and booted once, by whoever comes first, and again when what made it has changed.
make_ready() {
    local made
    exec {lock}>"$work/lock"
    flock "$lock"
    build_emulator
    made=$(cat "$here/image.sh" "$here/rruntime.cil" "$here/../debian.sh" "$here/guest/agent" | sha256sum)
    if $rebuild || [ "$(cat "$image/made" 2>/dev/null)" != "$made" ]; then
        rm -rf "$image" "$work/$suite".{v1,v2,selinux}
        build_image
        echo "$made" >"$image/made"
    fi
    made="$(sha256sum <"$here/machine.sh") $(sed -n 's/^model name.*: //p' /proc/cpuinfo | sed -n 1p)"
    if ! $fresh && [ "$(cat "$frozen/made" 2>/dev/null)" != "$made" ]; then
        rm -rf "$frozen"
        freeze
        echo "$made" >"$frozen/made"
    fi
    exec {lock}>&-
}

# Boots, and keeps the machine as it is when its agent waits for a command: memory, devices and disk. It is not stopped first,
# or it would be so again afterwards.
freeze() {
    local line new=$frozen.new begin=$SECONDS
    section "booting the machine"
    rm -rf "$new"
    mkdir "$new"
    cp --sparse=always "$image/root.img" "$new/root.img"
    truncate -s "$payload_size" "$new/payload.tar"
    qemu "$new" "$new/root.img"
    hear "$new" "$boot_limit"
    echo "(booted in $((SECONDS - begin)) s)" >&2
    sleep 5 # what systemd still has to do, and the tester's manager
    printf 'migrate "exec:zstd -q -o %s"\nquit\n' "$new/state.zst" >"$new/monitor.in"
    wait "$qemu" || { complain "$new" "QEMU failed"; exit 1; }
    zstd -tq "$new/state.zst" || fail "the frozen machine is damaged"
    rm -f "$new"/*.in "$new"/*.out "$new/payload.tar"
    mv "$new" "$frozen"
}

start() {
    tar -C "$run/payload" --owner=0 --group=0 -cf "$run/payload.tar" .
    rm -rf "$run/payload"
    [ "$(stat -c %s "$run/payload.tar")" -le "$payload_size" ] || fail "the payload has more than $payload_size bytes"
    truncate -s "$payload_size" "$run/payload.tar"
    if $fresh; then
        qemu "$run" "$image/root.img,snapshot=on"
        hear "$run" "$boot_limit"
    else
        qemu "$run" "$frozen/root.img,snapshot=on" -incoming "exec:zstd -dcq $frozen/state.zst"
    fi
}

# Sends the word, shows what comes, and returns the command's exit status.
converse() {
    local line readers=() saved=''
    cat "$run/output.out" &
    readers+=($!)
    cat "$run/errors.out" >&2 &
    readers+=($!)
    if [ $mode = shell ]; then
        saved=$(stty -g)
        stty raw -echo
        cat "$run/terminal.out" &
        readers+=($!)
        cat </dev/tty >"$run/terminal.in" &
        typing=$!
    fi
    exec {words}<>"$run/control.in"
    echo "run $(date +%s)" >&$words
    hear "$run" "${RRUNTIME_VM_LIMIT:-100000}" || { line=125 && kill "${readers[@]}"; }
    [ -z "$saved" ] || { kill "$typing"; stty "$saved"; }
    kill "$qemu" # whereupon the readers have everything
    wait "$qemu" "${readers[@]}" 2>/dev/null || true
    qemu=''
    return "$line"
}

cleanup() {
    [ -z "${qemu:-}" ] || { kill "$qemu"; wait "$qemu"; } 2>/dev/null || true
    rm -rf "$run"
}
