//! The forwards that a chain makes, read back from its DNAT rules.

use std::net::{IpAddr, SocketAddr};

use common::Protocol;
use xtables::meaning::Meaning;

use super::reach::ranges;
use crate::host_port::{Forward, HostPort};

/// The forwards of a chain's rules; rules of another form are left out.
pub fn translations(rules: &[String]) -> Vec<Forward> {
    rules.iter().flat_map(|rule| of_rule(rule)).collect()
}

/// Those of one rule: several where it has a range of ports, which stay what they are.
pub fn of_rule(rule: &str) -> Vec<Forward> {
    read(rule).unwrap_or_default()
}

fn read(rule: &str) -> Option<Vec<Forward>> {
    let meaning = Meaning::of(rule);
    let to = match meaning.target.as_slice() {
        [target, option, to] if target == "DNAT" && option == "--to-destination" => to,
        _ => return None,
    };
    let name = meaning.find("-p")?.first()?;
    let protocol = Protocol::from_text(name)?;
    let (first, last) = match meaning.find(name)? {
        [option, port] if option == "--dport" => ranges(port).next()?,
        _ => return None,
    };
    let to_port: Box<dyn Fn(u16) -> SocketAddr> = match to.parse::<SocketAddr>() {
        Ok(to) if first == last => Box::new(move |_| to),
        Ok(_) => return None,
        Err(_) => {
            let addr: IpAddr = to.parse().ok()?;
            Box::new(move |port| SocketAddr::new(addr, port))
        }
    };
    let address = match meaning.find("-d").and_then(<[String]>::first) {
        Some(network) => Some(network.split('/').next()?.parse().ok()?),
        None => None,
    };
    let forward = |number| Forward {
        port: HostPort {
            protocol,
            address,
            within: None,
            number,
        },
        to: to_port(number),
    };
    Some((first..=last).map(forward).collect())
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
            "-p tcp -m tcp ! --dport 1:9 -j DNAT --to-destination 10.22.0.2",
            "-p tcp -m multiport --dports 1:9 -j DNAT --to-destination 10.22.0.2",
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

    #[test]
    fn a_range_is_read_port_by_port() {
        let read = |rule: &str| -> Vec<(u16, String)> {
            let read = of_rule(rule).into_iter();
            read.map(|one| (one.port.number, one.to.to_string()))
                .collect()
        };
        let range = "-d 192.0.2.1/32 -p udp -m udp --dport 65534:65535 -j DNAT --to-destination";
        let expected = [
            (65534, "10.22.0.2:65534".to_owned()),
            (65535, "10.22.0.2:65535".into()),
        ];
        assert_eq!(read(&format!("{range} 10.22.0.2")), expected);
        let one = "-p sctp -m sctp --dport 9 -j DNAT --to-destination fd00:22::2";
        assert_eq!(read(one), [(9, "[fd00:22::2]:9".to_owned())]);
    }
}
