//! Transport protocols that have ports.

use std::fmt;

/// A transport protocol that has ports and that the kernel can translate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// SCTP. Variants are in alphabetical order, which is that of the rules.
    Sctp,
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    /// All of them, in alphabetical order.
    pub const ALL: [Protocol; 3] = [Protocol::Sctp, Protocol::Tcp, Protocol::Udp];

    /// The protocol of a name in any case, or of its number as iptables takes it.
    pub fn from_text(text: &str) -> Option<Protocol> {
        Self::ALL
            .into_iter()
            .find(|p| text.eq_ignore_ascii_case(p.name()) || text == p.number().to_string())
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Sctp => "sctp",
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }

    /// Its number (IANA protocol numbers).
    pub fn number(self) -> u8 {
        match self {
            Protocol::Sctp => 132,
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
