//! Containers of users without privileges: what the host's /sys shows of their own cgroup.

use crate::harness::{Bundle, host};
use crate::needs;
use crate::rootless::{bundle, by_user, delegate, undelegate};
use serde_json::{Value, json};

#[test]
fn cve_2023_25809_the_users_own_cgroup_cannot_be_written_below_sys() {
    needs!(root);
    // Below /sys is the user's own cgroup, and no cgroup namespace hides it.
    let delegated = |bundle: &Bundle| match host::layout() {
        host::Layout::V2 => delegate(bundle),
        host::Layout::V1 => String::new(),
    };
    if host::layout() == host::Layout::V2 {
        // Careless: only /sys itself is read-only, not the mounts below.
        let bundle = bundle();
        let enter = delegated(&bundle);
        let script = format!(
            "exec unshare -Urm sh -c 'mount --rbind /sys {0} && mount -o remount,bind,ro,nosuid,nodev,noexec {0}; \
             d={0}/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup); mkdir $d/careless && rmdir $d/careless && echo made'",
            bundle.rootfs().join("sys").display()
        );
        let careless =
            bundle.command(["sh", "-c", &script]).under(crate::rootless::AS_USER).after_shell(&enter).output();
        undelegate(&bundle);
        assert_eq!(careless.stdout, "made\n", "the attack does not bite: {careless:?}");
    }
    let probe = "for d in $(find /sys/fs/cgroup -type d 2>/dev/null | head -300); do mkdir $d/x 2>/dev/null && echo made $d; \
                 echo 0 2>/dev/null > $d/cgroup.procs && echo wrote $d; done; ls /sys | wc -l";
    let cgroup = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]});
    let sysfs = json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]});
    let plain = bundle().sh(probe);
    let covered = bundle().sh(probe).push("/mounts", cgroup.clone());
    let fresh = bundle().sh(probe).set("/mounts/5", sysfs.clone());
    let both = bundle().sh(probe).set("/mounts/5", sysfs).push("/mounts", cgroup);
    for (bundle, what) in [(plain, "rbind"), (covered, "rbind, cgroup"), (fresh, "sysfs"), (both, "sysfs, cgroup")] {
        let namespaces = bundle.config()["linux"]["namespaces"].as_array().unwrap();
        let without: Vec<Value> = namespaces.iter().filter(|one| one["type"] != "cgroup").cloned().collect();
        assert_eq!(bundle.config()["mounts"][5]["destination"], "/sys");
        let bundle = bundle.set("/linux/namespaces", without);
        let invocation = by_user(&bundle, "run").after_shell(&delegated(&bundle));
        let output = invocation.output();
        undelegate(&bundle);
        if output.stderr.contains("needs Linux 5.12") || super::is_unsealed(&output) {
            continue; // what lies below /sys cannot be made read-only here, and so there is no container
        }
        let text = output.ok().stdout;
        let entries: Result<u32, _> = text.trim().parse();
        assert!(entries.is_ok_and(|count| count > 3), "{what}: {text}");
    }
}
