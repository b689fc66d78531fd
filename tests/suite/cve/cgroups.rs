//! Names of cgroups and of their files that climb; the kernel's answer to a question about device programs.

use super::{base, weakly};
use crate::harness::host::Layout;
use crate::harness::{Container, host, read};
use crate::needs;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

/// A cgroup of somebody else's beside the container's, with a limit that a climbing name could reach.
struct Victim(PathBuf);

impl Victim {
    fn new(name: &str) -> Self {
        let controller = if host::layout() == Layout::V2 { "freezer" } else { "pids" };
        let dir = host::controller(controller).expect("a controller that is always there").join(name);
        fs::create_dir(&dir).expect("make a cgroup");
        fs::write(dir.join(limit()), "1000").expect("limit a cgroup");
        Self(dir)
    }

    fn limit(&self) -> String {
        read(self.0.join(limit()))
    }
}

/// A limit that every cgroup of this layout has.
fn limit() -> &'static str {
    if host::layout() == Layout::V2 { "cgroup.max.descendants" } else { "pids.max" }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn ghsa_5g49_no_name_of_a_limit_leaves_the_cgroup() {
    needs!(root);
    let bundle = base();
    let victim = Victim::new(&format!("rruntime-test-victim-{}", bundle.id()));
    let (up, other) = (
        format!("../rruntime-test-victim-{}/x", bundle.id()),
        format!("../rruntime-test-victim-{}/{}", bundle.id(), limit()),
    );
    // Careless: the name glued to the directory of a cgroup next to it.
    let near = Victim::new(&format!("rruntime-test-near-{}", bundle.id()));
    weakly(&bundle, &format!("echo 7 > {}/{other}", near.0.display()));
    assert_eq!(victim.limit(), "7\n", "the attack does not bite");
    fs::write(victim.0.join(limit()), "1000").unwrap();
    drop(near);

    for (n, key) in
        [other.as_str(), "../a", "a/b", "cgroup.procs", "pids.max\n", "pids.max\0x", "", "/pids.max", ".", ".."]
            .into_iter()
            .enumerate()
    {
        let bundle = bundle.twin(&format!("u{n}")).set("/linux/resources/unified", json!({key: "5"}));
        let output = bundle.run();
        assert!(output.code == 1 && output.stdout.is_empty(), "unified {key:?}: {output:?}");
        bundle.assert_nothing_left();
    }
    for (n, size) in
        [up.as_str(), "../../x", "2MB/../../x", "2MB\n", "", "/2MB", ".", "2MB.rsvd/../x"].into_iter().enumerate()
    {
        let limit = json!([{"pageSize": size, "limit": 0}]);
        let bundle = bundle.twin(&format!("h{n}")).set("/linux/resources/hugepageLimits", limit);
        let output = bundle.run();
        assert!(output.code == 1 && output.stdout.is_empty(), "page size {size:?}: {output:?}");
        bundle.assert_nothing_left();
    }
    for (n, device) in ["mlx5_0 hca_handle=1\nmlx5_1", "a/../b", ""].into_iter().enumerate() {
        let rdma = json!({device: {"hcaHandles": 1}});
        let output = bundle.twin(&format!("r{n}")).set("/linux/resources/rdma", rdma).run();
        assert!(output.code == 1 && output.stdout.is_empty(), "device {device:?}: {output:?}");
    }
    assert_eq!(victim.limit(), "1000\n", "the limit of a cgroup that is not the container's was changed");
    drop(victim);
    bundle.assert_nothing_left();
}

/// The cgroups of a container in which processes can be put.
fn directories(container: &Container) -> Vec<PathBuf> {
    host::cgroups(container.id()).into_iter().filter(|dir| dir.ends_with(container.id())).collect()
}

#[test]
fn no_cve_exec_joins_no_cgroup_but_the_containers_own() {
    needs!(root);
    let bundle = base().args(["sleep", "600"]);
    let container = bundle.start();
    // Its name starts with that of the first: only the string is a prefix.
    let sibling = bundle.twin("ab").start();
    let climb = format!("../{}", sibling.id());
    let name = |container: &Container| directories(container).first().expect("a cgroup").clone();
    let joined = name(&container).join(&climb);
    assert!(joined.to_string_lossy().starts_with(&*name(&container).to_string_lossy()), "the prefix test would pass");
    let sleeper = host::Sleeper::new();
    let pid = sleeper.pid().to_string();
    weakly(&bundle, &format!("echo {pid} > {}/cgroup.procs", joined.display()));
    assert!(read(format!("/proc/{pid}/cgroup")).contains(sibling.id()), "the attack does not bite");
    drop(sleeper);

    for dir in directories(&container) {
        fs::create_dir(dir.join("sub")).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let _ = fs::copy(dir.join(file), dir.join("sub").join(file));
        }
    }
    let fine = container.exec_with(["--cgroup", "sub"], ["cat", "/proc/self/cgroup"]).ok().stdout;
    assert!(fine.lines().any(|line| line.ends_with("/sub")), "{fine}");
    let absolute = format!("/{}", sibling.id());
    let others =
        ["..", "../", "/..", "/../x", "sub/../../..", "sub/..", "missing", ".", "./../x", "sub\n", "//sub/../.."];
    let deep = format!("a/../../{}", sibling.id());
    let slashed = format!("/../{}", sibling.id());
    for path in others.into_iter().chain([climb.as_str(), &absolute, &deep, &slashed]) {
        let output = container.exec_with(["--cgroup", path], ["cat", "/proc/self/cgroup"]);
        let stayed =
            output.stdout.lines().all(|line| line.contains(&format!("/{}", container.id())) || line.ends_with(":/"));
        let foreign = output.stdout.contains(sibling.id());
        assert!(output.code != 0 && output.stdout.is_empty() || stayed && !foreign, "{path:?}: {output:?}");
    }
}

/// BPF_PROG_QUERY for the device programs of a cgroup, with an attribute of 24 bytes that guards follow. True when the kernel
/// has written over the guards.
#[allow(unsafe_code)]
fn kernel_writes_past_the_end(cgroup: &fs::File) -> bool {
    use std::os::fd::AsRawFd;
    const QUERY: i32 = 16;
    const DEVICES: u32 = 6;
    let mut attr = [0u8; 256];
    attr[0..4].copy_from_slice(&cgroup.as_raw_fd().cast_unsigned().to_ne_bytes());
    attr[4..8].copy_from_slice(&DEVICES.to_ne_bytes());
    // What a caller says who was compiled before the last members were added: 32 bytes, with the count at 24.
    let said = 32;
    attr[said..].fill(0xAA);
    // SAFETY: the attribute is longer than any kernel's, whatever length is said; it has no pointers.
    let result = unsafe { libc::syscall(libc::SYS_bpf, QUERY, attr.as_mut_ptr(), said) };
    assert_eq!(result, 0, "BPF_PROG_QUERY: {}", nix::errno::Errno::last());
    attr[said..].iter().any(|byte| *byte != 0xAA)
}

#[test]
fn no_cve_a_kernel_that_writes_past_the_end_of_a_question_finds_room_there() {
    needs!(root);
    needs!(v2);
    needs!(program "strace");
    let bundle = base().args(["sleep", "600"]);
    let container = bundle.start();
    let cgroup = fs::File::open(&directories(&container)[0]).unwrap();
    // The attack is the kernel's own (6.17 to 7.1): whether this one does it decides what the rest can show.
    eprintln!("this kernel writes past the end: {}", kernel_writes_past_the_end(&cgroup));
    // Every question the runtime asks has room for the whole of the largest attribute.
    let log = container.home().join("bpf.log");
    let strace = ["strace", "-qq", "-e", "trace=bpf", "-o", log.to_str().unwrap()];
    let update =
        json!({"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]}).to_string();
    let rules = container.home().join("rules.json");
    fs::write(&rules, update).unwrap();
    let other = bundle.twin("traced");
    let (traced, created) = other.create_by(|it| it.under(strace));
    created.ok();
    drop(traced);
    let calls = read(&log);
    let sizes = calls.lines().filter(|line| line.contains("BPF_PROG")).map(|line| {
        let size = line.rsplit_once(") = ").and_then(|(call, _)| call.rsplit_once(", ")).map(|(_, size)| size);
        size.and_then(|size| size.parse::<u32>().ok()).unwrap_or_else(|| panic!("{line}"))
    });
    let sizes: Vec<_> = sizes.collect();
    assert!(!sizes.is_empty(), "{calls}");
    assert!(sizes.iter().all(|size| *size >= 256), "{calls}");
    let life = bundle.twin("life").args(["true"]);
    // And whole lives in a row, each with its questions: none ends by a signal.
    for _ in super::rounds(1000) {
        let output = container.runtime(["update", "--resources", rules.to_str().unwrap(), container.id()]).output();
        assert!(output.code == 0 || output.code == 1, "{output:?}");
        assert_eq!(life.run().code, 0);
    }
}
