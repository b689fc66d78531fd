//! The child, on its way from the clone to execve.
//!
//! Everything in this folder runs in the process that becomes the container's: first still in the host's mount namespace,
//! from `rootfs::pivot` on with the container's root. It asks the parent (`link`) for what needs the host, and never reads
//! config.json: the plan says it all.

pub mod credentials;
pub mod enter;
pub mod exec;
pub mod fork;
mod home;
mod joined;
pub mod labels;
mod parameters;
pub mod payload;
pub mod process;
mod procfs;
pub mod rootfs;
pub mod terminal;
pub mod world;

pub use enter::{enter, stage};
