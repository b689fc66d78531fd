//! rruntime: an OCI low-level container runtime. See docs/design.md for the map of the house.
mod error;
mod sys;
mod undo;

fn main() {}
