//! linux.netDevices into the network namespace of a container with CAP_NET_ADMIN, whose processes answer in the kernel's
//! place or rename what arrives.

#![allow(unsafe_code)] // nix knows no netlink messages

use crate::harness::{Bundle, Container, read};
use crate::needs;
use crate::network_devices::Machine;
use serde_json::json;
use std::time::{Duration, Instant};

const KIND: &str = "RRUNTIME_TEST_FORGER";

/// Nothing, but for a container's payload.
#[test]
fn as_a_payload() {
    match std::env::var(KIND).as_deref() {
        Ok("flood") => forge(|_| (0x7777, 0)),
        Ok("no device") => forge(|number| (number, -libc::ENODEV)),
        _ => {}
    }
}

/// Sends answers to all netlink sockets of this network namespace, for ever: sequence number and error of each.
fn forge(answer: impl Fn(u32) -> (u32, i32)) {
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) };
    assert!(socket >= 0, "a netlink socket");
    println!("forging");
    loop {
        for line in read("/proc/net/netlink").lines().skip(1) {
            let mut fields = line.split_whitespace().skip(2);
            let Some(port) = fields.next().and_then(|port| port.parse::<u32>().ok()).filter(|port| *port != 0) else {
                continue;
            };
            // SAFETY: sockaddr_nl is plain integers, for which zero is a valid value.
            let mut to: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
            to.nl_family = libc::sa_family_t::try_from(libc::AF_NETLINK).unwrap();
            to.nl_pid = port;
            for number in 1..40 {
                let (sequence, error) = answer(number);
                // struct nlmsghdr with struct nlmsgerr.
                let mut message = [0u8; 36];
                message[..4].copy_from_slice(&36u32.to_ne_bytes());
                message[4..6].copy_from_slice(&2u16.to_ne_bytes());
                message[8..12].copy_from_slice(&sequence.to_ne_bytes());
                message[16..20].copy_from_slice(&error.to_ne_bytes());
                let size = libc::socklen_t::try_from(size_of::<libc::sockaddr_nl>()).unwrap();
                // SAFETY: message and address live for the call, and their sizes are told.
                unsafe {
                    let address = (&raw const to).cast();
                    libc::sendto(socket, message.as_ptr().cast(), 36, libc::MSG_DONTWAIT, address, size)
                };
            }
        }
    }
}

fn hostile(bundle: Bundle) -> Container {
    bundle.grant(&["CAP_NET_ADMIN"]).start()
}

fn forger(kind: &str) -> Container {
    let bundle = Bundle::busybox();
    let program = std::env::current_exe().expect("the path of this program");
    std::fs::copy(program, bundle.rootfs().join("probe")).expect("copy this program into the image");
    let bundle = bundle.env(&format!("{KIND}={kind}"));
    let args = ["/probe", "--exact", "attacks::netlink::as_a_payload", "--nocapture", "--test-threads=1"];
    let container = hostile(bundle.args(args));
    container.has_said("forging");
    container
}

fn machine_into(container: &Container) -> Machine {
    let machine = Machine::with("ip addr add 10.7.0.1/24 dev eth7; ip link set eth7 up");
    let machine = machine.devices(json!({"eth7": {"name": "eth9"}}));
    machine
        .set(|bundle| bundle.join_namespace("network", container.proc("ns/net")).args(["ip", "link", "show", "eth9"]))
}

#[test]
fn messages_of_a_container_are_not_taken_for_the_kernels() {
    needs!(root);
    needs!(program "ip");
    for kind in ["flood", "no device"] {
        let container = forger(kind);
        let machine = machine_into(&container);
        let start = Instant::now();
        let output = machine.runs_under("run", ["timeout", "20"]);
        assert!(output.code == 0 && output.stdout.contains("eth9"), "{kind}: {output:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{kind}");
    }
}

#[test]
fn a_failed_start_takes_the_device_back_from_a_container_that_forges_messages() {
    needs!(root);
    needs!(program "ip");
    for kind in ["flood", "no device"] {
        let container = forger(kind);
        let machine = machine_into(&container).set(|bundle| bundle.args(["no-such-program"]));
        let before = machine.picture();
        machine.runs_under("create", ["timeout", "20"]).refused("no-such-program");
        assert_eq!(machine.picture(), before, "{kind}");
    }
}

#[test]
fn a_device_that_a_container_renames_on_arrival_is_found_and_taken_back() {
    needs!(root);
    needs!(program "ip");
    needs!(program "strace");
    let rename = "echo ready; while :; do ip link set eth9 name mine 2>/dev/null; done";
    let container = hostile(Bundle::busybox().sh(rename));
    container.has_said("ready");
    let machine = machine_into(&container).set(|bundle| bundle.args(["no-such-program"]));
    let before = machine.picture();
    // After each message to the kernel there is time enough to rename.
    let slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=sendto:delay_exit=50000"];
    machine.runs_under("create", slow).refused("no-such-program");
    assert_eq!(machine.picture(), before);
}
