//! Attacks by the payload of a container, an image, or a neighbour, that once worked. docs/security.md, "Attacks from inside".
//!
//! Each test was seen to fail on the runtime before it was mended: `RRUNTIME=/path/of/an/old/one cargo test --test suite attacks`.

mod device_places;
mod end_payloads;
mod entering;
mod first_thread;
mod following;
mod host_dev;
mod hung_files;
mod image_files;
mod insider;
mod keyrings;
mod messages;
mod nested_cgroups;
mod netlink;
mod poststop_hooks;
mod reused_pids;
mod state_directory;
mod terminals;
mod thief;
