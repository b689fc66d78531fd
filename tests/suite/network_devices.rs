//! linux.netDevices: devices of the host that become the container's. The host is a network namespace of the test's own.

use crate::harness::{Bundle, Output, Process, eventually, host, read};
use crate::needs;
use serde_json::json;

/// A network namespace that stands for the host's, with a pair of virtual Ethernet devices in it.
pub struct Machine {
    bundle: Bundle,
    holder: Process,
}

impl Machine {
    /// With `eth7` and its other end, `peer`, and what the script does beyond.
    pub fn with(script: &str) -> Self {
        let bundle = Bundle::busybox();
        let holder = bundle.command(["unshare", "--net", "sleep", "600"]).spawn();
        let namespace = format!("/proc/{}/ns/net", holder.pid());
        eventually("a network namespace", || !host::same_file(&namespace, "/proc/self/ns/net"));
        let machine = Self { bundle, holder };
        machine.does(&format!("set -e; ip link add eth7 type veth peer name peer\n{script}")).ok();
        machine
    }

    /// Changes the bundle.
    pub fn set(mut self, change: impl FnOnce(Bundle) -> Bundle) -> Self {
        self.bundle = change(self.bundle);
        self
    }

    pub fn devices(self, devices: serde_json::Value) -> Self {
        self.set(|bundle| bundle.set("/linux/netDevices", devices))
    }

    /// Runs a script on this machine.
    fn does(&self, script: &str) -> Output {
        let target = self.holder.pid().to_string();
        self.bundle.command(["nsenter", "--net", "--target", &target, "sh", "-c", script]).output()
    }

    /// `run` or `create` on this machine.
    fn runs(&self, verb: &str) -> Output {
        self.runs_under(verb, [])
    }

    /// The same under a program such as strace.
    pub fn runs_under<const N: usize>(&self, verb: &str, wrapper: [&str; N]) -> Output {
        let namespace = format!("--net=/proc/{}/ns/net", self.holder.pid());
        self.bundle.invocation(verb).under(wrapper).under(["nsenter", &namespace]).output()
    }

    /// Names, states and addresses of its devices, as they should be after a failure.
    pub fn picture(&self) -> String {
        let script = "ip -o link | sed 's/^[0-9]*: //; s/ link-netnsid.*//; s/ qdisc.*//'; ip -o addr | sed 's/^[0-9]*: //' | grep -v fe80";
        // An address is tentative until nobody has objected to it.
        let text = self.does(script).stdout.replace(" tentative", "").replace(",LOWER_UP", "").replace(",M-DOWN", "");
        let mut lines: Vec<_> = text.replace("NO-CARRIER,", "").lines().map(str::to_string).collect();
        lines.sort();
        lines.join("\n")
    }
}

const SHOW: &str = "ip addr show dev";

#[test]
fn a_device_moves_into_the_container_with_its_addresses_and_is_up() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with(
        "ip link set eth7 address 02:00:00:00:00:07 mtu 1400
         ip addr add 10.7.0.1/24 dev eth7; ip addr add 10.7.0.2/24 dev eth7; ip addr add 10.7.1.1/32 peer 10.7.1.2 dev eth7
         ip addr add fd00:7::1/64 dev eth7 nodad
         ip addr add 169.254.7.7/16 scope link dev eth7; ip addr add 10.7.2.1/24 dev eth7 valid_lft 600 preferred_lft 600
         ip link set eth7 up; ip link set peer up",
    );
    let machine = machine.devices(json!({"eth7": {}})).set(|bundle| bundle.sh(&format!("{SHOW} eth7")));
    let shown = machine.runs("run").ok().stdout;
    for word in [
        "mtu 1400",
        "02:00:00:00:00:07",
        "<BROADCAST,MULTICAST,UP",
        "10.7.0.1/24",
        "10.7.0.2/24",
        "10.7.1.1 peer 10.7.1.2/32",
        "fd00:7::1/64",
    ] {
        assert!(shown.contains(word), "{word} is missing: {shown}");
    }
    for word in ["169.254.7.7", "10.7.2.1"] {
        assert!(!shown.contains(word), "an address of a link or of a lease came along: {shown}");
    }
}

#[test]
fn a_device_gets_the_name_that_the_configuration_gives_it() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("ip addr add 10.7.0.1/24 brd + dev eth7 label eth7:main");
    let machine =
        machine.devices(json!({"eth7": {"name": "inside"}})).set(|bundle| bundle.sh(&format!("{SHOW} inside")));
    let shown = machine.runs("run").ok().stdout;
    assert!(shown.contains("10.7.0.1/24 brd 10.7.0.255 scope global inside:main"), "{shown}");
}

#[test]
fn a_template_is_completed_by_the_kernel() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("").devices(json!({"eth7": {"name": "net%d"}, "peer": {"name": "net%d"}}));
    let machine = machine.set(|bundle| bundle.sh("cd /sys/class/net; echo *; cat net0/flags net1/flags"));
    assert_eq!(machine.runs("run").ok().stdout, "lo net0 net1\n0x1003\n0x1003\n");
}

#[test]
fn kernel_parameters_of_a_moved_device_can_be_set() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("").devices(json!({"eth7": {"name": "inside"}})).set(|bundle| {
        let bundle = bundle.set("/linux/sysctl", json!({"net.ipv4.conf.inside.forwarding": "1"}));
        bundle.args(["cat", "/proc/sys/net/ipv4/conf/inside/forwarding"])
    });
    assert_eq!(machine.runs("run").ok().stdout, "1\n");
}

#[test]
fn hooks_find_the_device_in_the_container() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("").devices(json!({"eth7": {}})).set(|bundle| {
        let seen = bundle.home().join("seen");
        bundle.hook("createRuntime", &format!("ip link show eth7 || echo moved >> {}", seen.display()))
    });
    let machine = machine.set(|bundle| bundle.args(["true"]));
    machine.runs("run").ok();
    assert_eq!(read(machine.bundle.home().join("seen")), "moved\n");
}

#[test]
fn a_device_can_move_into_a_user_namespaces_network() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("ip addr add 10.7.0.1/24 dev eth7").devices(json!({"eth7": {}}));
    let machine = machine.set(|bundle| bundle.user_namespace().sh(&format!("{SHOW} eth7")));
    assert!(machine.runs("run").ok().stdout.contains("10.7.0.1/24"));
}

#[test]
fn a_device_can_move_into_a_network_namespace_that_is_there_already() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("ip addr add 10.7.0.1/24 dev eth7").devices(json!({"eth7": {}}));
    let other = machine.bundle.command(["unshare", "--net", "sleep", "600"]).spawn();
    let path = format!("/proc/{}/ns/net", other.pid());
    eventually("a network namespace", || !host::same_file(&path, "/proc/self/ns/net"));
    let machine = machine.set(|bundle| bundle.join_namespace("network", &path).sh(&format!("{SHOW} eth7")));
    assert!(machine.runs("run").ok().stdout.contains("10.7.0.1/24"));
    let shown = machine.does(&format!("nsenter --net={path} {SHOW} eth7")).ok().stdout;
    assert!(shown.contains("10.7.0.1/24"), "it stays there when the container is gone: {shown}");
    // A second container finds the name taken; a template is a way out.
    let machine = machine.set(|bundle| bundle.set("/linux/netDevices", json!({"peer": {"name": "eth7"}})));
    machine.runs("run").refused("linux.netDevices.peer: the container has a network device called eth7 already");
    let machine = machine.set(|bundle| bundle.set("/linux/netDevices", json!({"peer": {"name": "eth%d"}})));
    let machine = machine.set(|bundle| bundle.sh("cd /sys/class/net; echo *"));
    machine.runs("run").ok();
    let names =
        machine.does(&format!("nsenter --net={path} ls /sys/class/net 2>/dev/null; nsenter --net={path} ip -br link"));
    assert!(names.stdout.contains("eth0"), "{names:?}");
}

#[test]
fn a_missing_device_is_refused_before_another_one_has_moved() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("ip link set eth7 up; ip addr add fd00:7::1/64 dev eth7");
    let machine = machine.devices(json!({"eth7": {}, "eth8": {}}));
    let before = machine.picture();
    machine.runs("create").refused("config.json: linux.netDevices.eth8: there is no network device of this name");
    assert_eq!(machine.picture(), before);
    machine.bundle.assert_nothing_left();
}

#[test]
fn a_failed_create_gives_the_devices_back_as_they_were() {
    needs!(root);
    needs!(program "ip");
    let prepare =
        "ip addr add 10.7.0.1/24 dev eth7; ip addr add fd00:7::1/64 dev eth7; ip addr add 10.8.0.1/24 dev peer
                   ip link set eth7 up";
    let machine = Machine::with(prepare).devices(json!({"eth7": {"name": "in%d"}, "peer": {"name": "eth7"}}));
    let before = machine.picture();
    assert!(before.contains("fd00:7::1/64") && before.contains("peer"), "{before}");
    // The program is looked for last of all.
    let machine = machine.set(|bundle| bundle.args(["no-such-program"]));
    machine.runs("create").refused("no-such-program");
    assert_eq!(machine.picture(), before);
    machine.bundle.assert_nothing_left();
}

#[test]
fn a_device_that_cannot_move_is_given_back() {
    needs!(root);
    needs!(program "ip");
    // A bridge belongs to its namespace.
    let machine = Machine::with("ip addr add 10.7.0.1/24 dev eth7; ip link set eth7 up; ip link add zz1 type bridge");
    let machine = machine.devices(json!({"eth7": {}, "zz1": {}}));
    let before = machine.picture();
    let told = "linux.netDevices.zz1: move it to the container: this kind of device cannot leave its network namespace";
    machine.runs("create").refused(told);
    assert_eq!(machine.picture(), before);
    machine.bundle.assert_nothing_left();
}

#[test]
fn the_hosts_own_network_takes_no_devices() {
    needs!(root);
    needs!(program "ip");
    let machine = Machine::with("").devices(json!({"eth7": {}}));
    let own = format!("/proc/{}/ns/net", machine.holder.pid());
    let machine = machine.set(|bundle| bundle.join_namespace("network", own));
    machine.runs("create").refused("linux.netDevices");
    let machine = machine.set(|bundle| bundle.without_namespace("network"));
    machine.runs("create").refused("linux.netDevices: needs a network namespace");
    machine.does("ip link show eth7").ok();
}
