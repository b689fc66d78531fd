//! Attacks by the payload of a container, an image, or a neighbour, that once worked. docs/security.md, "Attacks from inside".
//!
//! Each test was seen to fail on the runtime before it was mended: `RRUNTIME=/path/of/an/old/one cargo test --test suite attacks`.

mod device_places;
mod entering;
mod following;
mod host_dev;
mod image_files;
mod insider;
mod keyrings;
mod messages;
mod netlink;
mod terminals;
mod thief;
