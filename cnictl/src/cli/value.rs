//! What options take: ports, rates and names.

use std::fmt;

use common::Protocol;
use common::attachment::is_valid_name;
use portmap::HostPort;

use crate::runner::capabilities::bits;

/// A limit of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate {
    /// As it was written.
    pub text: String,
    /// Bits per second; 0 for none.
    pub rate: u64,
    /// Bits; 0 where the plugin is to choose.
    pub burst: u64,
}

/// A port, of some protocols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The number.
    pub number: u16,
    /// The protocols: one, or all.
    pub protocols: Vec<Protocol>,
}

impl Wanted {
    /// Whether a host port is the one that is wanted.
    pub fn is(&self, port: &HostPort) -> bool {
        port.number == self.number && self.protocols.contains(&port.protocol)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocols.as_slice() {
            [protocol] => write!(f, "{}/{protocol}", self.number),
            _ => write!(f, "{}", self.number),
        }
    }
}

/// `8080/tcp`, or `8080` for every protocol.
pub(super) fn wanted(text: &str) -> Result<Wanted, &'static str> {
    let (port, protocol) = match text.split_once('/') {
        Some((port, protocol)) => (port, Some(protocol)),
        None => (text, None),
    };
    let number: Option<u16> = port.parse().ok().filter(|port| *port > 0);
    let number = number.ok_or("expected a port from 1 to 65535")?;
    let protocols = match protocol {
        None => Protocol::ALL.to_vec(),
        Some(name) => vec![Protocol::from_text(name).ok_or("expected tcp, udp or sctp")?],
    };
    Ok(Wanted { number, protocols })
}

/// `20M`, `20M:1M` or `none`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let (rate, burst) = match text.split_once(':') {
        Some((rate, burst)) => (rate, Some(burst)),
        None => (text, None),
    };
    let bits = |text| bits(text).map_err(|error| error.to_string());
    Ok(Rate {
        text: text.to_owned(),
        rate: if text == "none" { 0 } else { bits(rate)? },
        burst: burst.map_or(Ok(0), bits)?,
    })
}

pub(super) fn network_name(text: &str) -> Result<String, &'static str> {
    match is_valid_name(text) {
        true => Ok(text.to_owned()),
        false => Err("cannot be a network's name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_protocol_or_all() {
        let tcp = Wanted {
            number: 8080,
            protocols: vec![Protocol::Tcp],
        };
        assert_eq!(wanted("8080/TCP"), Ok(tcp));
        assert_eq!(wanted("53").unwrap().protocols.len(), 3);
        for bad in ["", "0", "65536", "tcp/80", "80/icmp", "80/", "-1"] {
            assert!(wanted(bad).is_err(), "{bad}");
        }
    }
}
