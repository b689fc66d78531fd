//! Attacks of a payload on the runtime and on other containers, carried out. docs/security.md, "Attacks from inside", lists them.

mod following;
mod insider;
mod keyrings;
mod messages;
mod terminals;
