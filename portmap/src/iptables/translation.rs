//! The forwards that a chain makes, read back from its DNAT rules.

use common::Protocol;
use xtables::meaning::Meaning;

use crate::host_port::{Forward, HostPort};

/// The forwards of a chain's rules; rules of another form are left out.
pub fn translations(rules: &[String]) -> Vec<Forward> {
    rules.iter().filter_map(|rule| read(rule)).collect()
}

fn read(rule: &str) -> Option<Forward> {
    let meaning = Meaning::of(rule);
    let to = match meaning.target.as_slice() {
        [target, option, to] if target == "DNAT" && option == "--to-destination" => {
            to.parse().ok()?
        }
        _ => return None,
    };
    let name = meaning.find("-p")?.first()?;
    let number = match meaning.find(name)? {
        [option, port] if option == "--dport" => port.parse().ok()?,
        _ => return None,
    };
    let address = match meaning.find("-d").and_then(<[String]>::first) {
        Some(network) => Some(network.split('/').next()?.parse().ok()?),
        None => None,
    };
    Some(Forward {
        port: HostPort {
            protocol: Protocol::from_text(name)?,
            address,
            within: None,
            number,
        },
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
        assert_eq!(read[1].port.address, Some("fd00::1".parse().unwrap()));
        assert_eq!(
            (read[1].port.protocol, read[1].port.number),
            (Protocol::Udp, 53)
        );
    }
}
