//! What a container, or another user of the machine, does on purpose to outlive its end, to hold the runtime up, or to lead it to what
//! is not the container's. docs/security.md, "Attacks from inside", lists the attacks with their tests.

mod end_payloads;
mod first_thread;
mod hung_files;
mod nested_cgroups;
mod poststop_hooks;
mod reused_pids;
mod state_directory;
