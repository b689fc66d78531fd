//! The runtime's own process: host namespaces, host privileges. What is in this folder never runs in the child.

pub mod cgroup;
pub mod console;
mod idmap;
mod labels;
pub mod launch;
mod mounts;
pub mod namespaces;
pub mod record;
mod scheduling;
mod serve;
mod spawn;
pub mod wait;

pub use launch::{Inside, Launch, launch};
