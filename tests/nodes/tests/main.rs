//! Debian's container runtimes with our plugins in their chain: traffic through what was asked for, and
//! nothing left of it, whatever way the container ends.

mod containerd;
mod kubelet;
mod pod;
mod podman;
mod upgrade;
