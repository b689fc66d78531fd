# Builds the machine of integration/vm/run from Debian's packages: kernel, initramfs and root file system, in $image. Sourced.
# shellcheck shell=bash

# What is in it beyond Debian's minimal system: systemd with users' managers, the programs that the tests call, Podman, Docker (not
# started), and the policy that SELinux enforces when the machine is booted with it.
packages=(systemd systemd-sysv udev dbus dbus-user-session libpam-systemd kmod procps util-linux uidmap iproute2 strace
    busybox-static e2fsprogs jq apparmor podman crun conmon catatonit docker.io docker-cli
    selinux-policy-default policycoreutils)
# What a machine without network, seat, time or future has no use for; each costs seconds of an emulated boot.
masked=(apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    systemd-tmpfiles-clean.timer systemd-timesyncd.service systemd-networkd.service systemd-resolved.service systemd-pstore.service
    getty@tty1.service getty.target console-getty.service serial-getty@ttyS0.service apparmor.service tmp.mount
    systemd-random-seed.service systemd-update-utmp.service systemd-journal-flush.service systemd-machine-id-commit.service
    systemd-hwdb-update.service systemd-binfmt.service systemd-tpm2-setup.service systemd-tpm2-setup-early.service
    systemd-pcrphase.service ldconfig.service podman-auto-update.timer podman-auto-update.service podman-restart.service
    podman-clean-transient.service podman.socket netavark-dhcp-proxy.socket netavark-dhcp-proxy.service remote-fs.target
    selinux-autorelabel-mark.service docker.service docker.socket containerd.service)

# In the new root, before apt's lists are thrown away: the kernel without its hooks, which would make an initramfs of Debian's.
# shellcheck disable=SC2016 # expanded by mmdebstrap's shell, and by the one inside
kernel_hook='chroot "$1" sh -ec "
    mkdir /kernel && cd /kernel
    apt-get download -q \$(apt-cache depends --important linux-image-cloud-amd64 | sed -n \"s/.*Depends: \(linux-image-[^ ]*\)/\1/p\")
    dpkg-deb -x *.deb tree
    cp -a tree/boot/vmlinuz-* vmlinuz
    mkdir -p /usr/lib/modules
    cp -a tree/lib/modules/* /usr/lib/modules/ 2>/dev/null || cp -a tree/usr/lib/modules/* /usr/lib/modules/
    rm -rf tree *.deb
    depmod \$(ls /usr/lib/modules)"'

configure() { # ROOT
    local root=$1 unit
    echo vm >"$root/etc/hostname"
    echo '127.0.0.1 localhost vm' >"$root/etc/hosts"
    echo '/dev/vda / ext4 rw,noatime 0 1' >"$root/etc/fstab"
    for unit in "${masked[@]}"; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    for unit in podman-auto-update.timer podman-restart.service podman.socket gpg-agent.socket dirmngr.socket; do
        ln -sf /dev/null "$root/etc/systemd/user/$unit"
    done
    install -D -m 755 "$here/guest/agent" "$root/usr/local/sbin/agent"
    cat >"$root/etc/systemd/system/agent.service" <<'END'
[Unit]
Description=Runs what the host asks for
After=user@1000.service
[Service]
Type=exec
ExecStart=/usr/local/sbin/agent
StandardOutput=journal+console
OOMScoreAdjust=-1000
[Install]
WantedBy=multi-user.target
END
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/etc/systemd/system/user@.service.d" \
        "$root/var/lib/systemd/linger" "$root/payload"
    ln -s ../agent.service "$root/etc/systemd/system/multi-user.target.wants/agent.service"
    printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"
    # The one user, with a manager of its own from boot on, and ids for user namespaces.
    chroot "$root" useradd --uid 1000 --create-home --shell /bin/bash tester
    printf 'tester:100000:65536\n' | tee "$root/etc/subuid" >"$root/etc/subgid"
    : >"$root/var/lib/systemd/linger/tester"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}

# The modules of a block device and a file system, and the way to the root.
initramfs() { # ROOT OUT
    local tree=$1.initramfs version module
    version=$(ls "$1/usr/lib/modules")
    mkdir -p "$tree"/{bin,dev,proc,new,modules}
    cp "$1/bin/busybox" "$tree/bin/"
    {
        printf '#!/bin/busybox sh\nbusybox mount -t devtmpfs dev /dev\n'
        for module in $(chroot "$1" modprobe -S "$version" --show-depends virtio_blk | awk '/^insmod/ { print $2 }') \
            $(chroot "$1" modprobe -S "$version" --show-depends ext4 | awk '/^insmod/ { print $2 }'); do
            local name=${module##*/}
            name=${name%%.ko*}.ko
            case $module in
            *.xz) xz -dc "$1$module" ;;
            *.zst) zstd -dcq "$1$module" ;;
            *) cat "$1$module" ;;
            esac >"$tree/modules/$name"
            echo "busybox insmod /modules/$name"
        done
        printf 'while ! [ -b /dev/vda ]; do busybox sleep 0.1; done\nbusybox mount -t ext4 -o noatime /dev/vda /new\n'
        printf 'busybox umount /dev\nexec busybox switch_root /new /sbin/init\n'
    } | awk '!seen[$0]++' >"$tree/init"
    chmod +x "$tree/init"
    (cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$2"
    rm -rf "$tree"
}

# label ROOT: the policy's security.selinux attributes, for `--selinux`; mke2fs copies them. A kernel without SELinux takes and
# keeps them like any others.
label() {
    cp "$here/rruntime.cil" "$1/root/"
    chroot "$1" semodule --noreload --install=/root/rruntime.cil
    rm "$1/root/rruntime.cil"
    chroot "$1" setfiles -F /etc/selinux/default/contexts/files/file_contexts /
}

# Everything in $image is there, or nothing: a directory that is renamed when it is complete.
build_image() {
    need mmdebstrap e2fsprogs busybox-static zstd xz-utils
    section "building the machine from Debian $suite"
    local new=$image.new
    rm -rf "$new"
    mkdir -p "$new"
    bootstrap "$suite" "$new/root" --variant=minbase --include="$(IFS=, && echo "${packages[*]}")" --customize-hook="$kernel_hook"
    configure "$new/root"
    mv "$new/root/kernel/vmlinuz" "$new/vmlinuz"
    rmdir "$new/root/kernel"
    initramfs "$new/root" "$new/initramfs"
    label "$new/root"
    mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$new/root" "$new/root.img" 4G
    rm -rf "$new/root"
    mv "$new" "$image"
}
