//! An attachment's claim on a host port.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::host_port::HostPort;
use crate::nftables::set::Purpose;

/// One attachment's claim on a host port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The owner.
    pub owner: String,
    /// The container's address and port.
    pub to: SocketAddr,
    /// What is masqueraded.
    pub marks: Marks,
}

impl Claim {
    /// The same on a port that keeps its number.
    pub fn at(&self, port: HostPort) -> Claim {
        Claim {
            to: SocketAddr::new(self.to.ip(), port.number),
            ..self.clone()
        }
    }
}

/// What is masqueraded of a host port's packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    hairpin: Option<u8>,
    localhost: bool,
    all: bool,
}

/// The claims on each host port, the oldest first; the last one is served.
pub type Queues = BTreeMap<HostPort, Vec<Claim>>;

/// Bits of [`Marks::code`] beside the prefix length.
const HAIRPIN: u16 = 1 << 8;
const LOCALHOST: u16 = 1 << 9;
const ALL: u16 = 1 << 10;

impl Marks {
    /// That of the sets that a port is in.
    pub fn of(purposes: impl IntoIterator<Item = Purpose>) -> Marks {
        let mut marks = Marks::default();
        purposes.into_iter().for_each(|purpose| marks.add(purpose));
        marks
    }

    /// Adds that of a set.
    pub fn add(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Hairpin(prefix) => self.hairpin = Some(prefix),
            Purpose::Localhost => self.localhost = true,
            Purpose::MasqAll => self.all = true,
            Purpose::Dnat | Purpose::Shadowed | Purpose::Attachment => {}
        }
    }

    /// The sets.
    pub fn purposes(self) -> impl Iterator<Item = Purpose> {
        let localhost = self.localhost.then_some(Purpose::Localhost);
        let all = self.all.then_some(Purpose::MasqAll);
        let hairpin = self.hairpin.map(Purpose::Hairpin);
        hairpin.into_iter().chain(localhost).chain(all)
    }

    /// As a number in the data of one who waits.
    pub(super) fn code(self) -> u16 {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        self.hairpin.map_or(0, |prefix| HAIRPIN | u16::from(prefix))
            | bit(self.localhost, LOCALHOST)
            | bit(self.all, ALL)
    }

    pub(super) fn from_code(code: u16) -> Marks {
        let [_, prefix] = code.to_be_bytes();
        Marks {
            hairpin: (code & HAIRPIN != 0).then_some(prefix),
            localhost: code & LOCALHOST != 0,
            all: code & ALL != 0,
        }
    }
}
