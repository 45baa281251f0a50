//! `portmap` in real namespaces, with every backend.

mod bytes;
mod conditions;
mod conflict;
mod conntrack;
mod crowded;
mod drift;
mod gc;
mod guard;
mod hostile;
mod identity;
mod killed;
mod legacy;
mod lock;
mod native;
pub mod nftables;
mod no_program;
pub mod node;
mod order;
mod packets;
mod parallel;
mod reference;
mod replace;
mod samples;
mod shapes;
mod status;
mod turn;
mod variants;
