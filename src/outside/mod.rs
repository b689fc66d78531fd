//! The runtime's own process: host namespaces, host privileges. What is in this folder never runs in the child.

pub mod cgroup;
pub mod chroot;
pub mod console;
mod devices;
mod helper;
pub mod host_mount;
mod idmap;
mod labels;
pub mod launch;
mod listener;
mod mappings;
mod mounts;
pub mod namespaces;
mod network;
pub mod notify;
mod patience;
pub mod record;
pub mod resctrl;
mod scheduling;
mod serve;
mod spawn;
pub mod wait;

pub use launch::{Inside, Launch, launch};
