//! The attributes of a link: their names as `ip link` has them, and their values.

use std::mem::discriminant;

use common::sys::link::{Change, Link};

/// What the change is to, in the words of `ip link`.
pub fn name(change: Change) -> &'static str {
    match change {
        Change::Mac(_) => "mac",
        Change::Mtu(_) => "mtu",
        Change::TxQLen(_) => "txqlen",
        Change::Promisc(_) => "promisc",
        Change::Allmulti(_) => "allmulti",
        Change::Up(_) => "state",
    }
}

/// The value that the change sets.
pub fn value(change: Change) -> String {
    match change {
        Change::Mac(mac) => mac.to_string(),
        Change::Mtu(number) | Change::TxQLen(number) => number.to_string(),
        Change::Promisc(on) | Change::Allmulti(on) => if on { "on" } else { "off" }.to_owned(),
        Change::Up(on) => if on { "up" } else { "down" }.to_owned(),
    }
}

/// The change that would set the link's present value; `None` when the link has none (a tunnel
/// without hardware address).
pub fn present(link: &Link, change: Change) -> Option<Change> {
    Some(match change {
        Change::Mac(_) => Change::Mac(link.mac?),
        Change::Mtu(_) => Change::Mtu(link.mtu),
        Change::TxQLen(_) => Change::TxQLen(link.txqlen),
        Change::Promisc(_) => Change::Promisc(link.promisc),
        Change::Allmulti(_) => Change::Allmulti(link.allmulti),
        Change::Up(_) => Change::Up(link.up),
    })
}

/// Whether two changes are to the same attribute.
pub fn is_same(a: Change, b: Change) -> bool {
    discriminant(&a) == discriminant(&b)
}
