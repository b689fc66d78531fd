//! Attacks of images, volumes and running containers on the runtime. docs/security.md, "Attacks from inside", lists them.

mod device_places;
mod host_dev;
mod image_files;
mod netlink;
