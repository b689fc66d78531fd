//! What users of the command line may expect of rruntime, one sentence per test, against the real binary and kernel.

mod harness;

mod boundaries;
mod capabilities;
mod cgroups;
mod cli;
mod descriptors;
mod devices;
mod errors;
mod escapes;
mod exec;
mod exec_user;
mod explain;
mod faults;
mod hooks;
mod host_state;
mod interruptions;
mod life_cycle;
mod limits;
mod listing;
mod load;
mod masks;
mod mounts;
mod namespaces;
mod pause;
mod process;
mod records;
mod rootless;
mod run;
mod signals;
mod terminals;
mod user_namespace;
mod volumes;
