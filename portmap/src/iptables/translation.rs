//! The forwards that a chain makes, read back from its DNAT rules.

use std::net::{IpAddr, SocketAddr};

use common::Protocol;
use xtables::meaning::Meaning;

use crate::host_port::HostPort;

/// One DNAT rule of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    /// The protocol.
    pub protocol: Protocol,
    /// The only address of the node that is mapped, or `None` for all.
    pub host_ip: Option<IpAddr>,
    /// The node's port.
    pub host_port: u16,
    /// The container's address and port.
    pub to: SocketAddr,
}

impl From<&Translation> for HostPort {
    fn from(translation: &Translation) -> HostPort {
        HostPort {
            protocol: translation.protocol,
            address: translation.host_ip,
            port: translation.host_port,
        }
    }
}

/// The forwards of a chain's rules; rules of another form are left out.
pub fn translations(rules: &[String]) -> Vec<Translation> {
    rules.iter().filter_map(|rule| read(rule)).collect()
}

fn read(rule: &str) -> Option<Translation> {
    let meaning = Meaning::of(rule);
    let to = match meaning.target.as_slice() {
        [target, option, to] if target == "DNAT" && option == "--to-destination" => {
            to.parse().ok()?
        }
        _ => return None,
    };
    let name = meaning.find("-p")?.first()?;
    let host_port = match meaning.find(name)? {
        [option, port] if option == "--dport" => port.parse().ok()?,
        _ => return None,
    };
    let host_ip = match meaning.find("-d").and_then(<[String]>::first) {
        Some(network) => Some(network.split('/').next()?.parse().ok()?),
        None => None,
    };
    Some(Translation {
        protocol: Protocol::from_text(name)?,
        host_ip,
        host_port,
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_dnat_rules_are_read_and_others_left_out() {
        let rules = [
            "-s 127.0.0.1/32 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK",
            "-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.22.0.2:8080",
            "-d fd00::1/128 -p udp -m udp --dport 53 -j DNAT --to-destination [fd00:22::2]:53",
            "-p tcp -j DNAT --to-destination 10.22.0.2",
            "-p tcp -m tcp --dport 1:9 -j DNAT --to-destination 10.22.0.2:80",
        ]
        .map(str::to_owned);
        let read = translations(&rules);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].to.to_string(), "10.22.0.2:8080");
        assert_eq!(read[1].host_ip, Some("fd00::1".parse().unwrap()));
        assert_eq!((read[1].protocol, read[1].host_port), (Protocol::Udp, 53));
    }
}
