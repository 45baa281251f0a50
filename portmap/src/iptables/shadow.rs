//! Rules that keep packets from a rule that stands after them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::meaning::Meaning;
use super::owner;
use super::rules::DNAT;
use super::state::State;
use crate::plan::Forward;

/// Whether a rule ends a chain for every packet that it matches. `-j` to a chain may come back, and
/// what does not end anything (LOG, MARK, …) does not either.
fn is_final(target: &str) -> bool {
    matches!(
        target,
        "ACCEPT"
            | "DROP"
            | "REJECT"
            | "RETURN"
            | "QUEUE"
            | "NFQUEUE"
            | "DNAT"
            | "SNAT"
            | "REDIRECT"
            | "MASQUERADE"
            | "NETMAP"
    )
}

/// Whether a rule surely keeps all packets of a forward from the rules after it. A rule with a match
/// that the forward does not imply may let some through, so it does not count.
pub fn hides(rule: &str, forward: &Forward) -> bool {
    if names_other_ports(rule, forward.host_port) {
        return false;
    }
    let meaning = Meaning::of(rule);
    ends(&meaning) && meaning.matches.iter().all(|part| is_implied(part, forward))
}

/// Whether a rule surely ends its chain for every packet.
pub fn hides_everything(rule: &str) -> bool {
    let meaning = Meaning::of(rule);
    ends(&meaning) && meaning.is_for_all()
}

/// Whether a rule ends its chain. `-g` to a chain never comes back to this one; what leads to chains
/// of ours is in nobody's way.
fn ends(meaning: &Meaning) -> bool {
    match meaning.goes_to() {
        "goto" => !meaning.target.iter().any(|name| name.starts_with("CNI-")),
        target => is_final(target),
    }
}

/// Whether every packet of a forward fulfils a match.
fn is_implied(part: &[String], forward: &Forward) -> bool {
    let words: Vec<&str> = part.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["comment", ..] | ["addrtype", "--dst-type", "LOCAL"] => true,
        ["-p", protocol] => *protocol == forward.protocol.name(),
        ["-d", network] => forward
            .host_ip
            .is_some_and(|addr| is_address(network, addr)),
        ["tcp" | "udp" | "sctp", "--dport", ports] => contains(ports, forward.host_port),
        ["multiport", "--dports", ports] => contains(ports, forward.host_port),
        _ => false,
    }
}

fn is_address(network: &str, addr: IpAddr) -> bool {
    network.split_once('/').and_then(|(a, _)| a.parse().ok()) == Some(addr)
        && (network.ends_with("/32") && addr.is_ipv4() || network.ends_with("/128"))
}

/// Whether a list such as `80,443,1000:2000` has a port.
pub fn contains(list: &str, port: u16) -> bool {
    list.split(',').any(|item| match item.split_once(':') {
        Some((from, to)) => {
            let from = from.parse().unwrap_or(0);
            let to = to.parse().unwrap_or(u16::MAX);
            (from..=to).contains(&port)
        }
        None => item.parse() == Ok(port),
    })
}

/// Whether a multiport match leaves a port out. A chain may have thousands of rules, and to take each
/// apart would take longer than everything else.
pub fn names_other_ports(rule: &str, port: u16) -> bool {
    let list = rule
        .split_once("--dports ")
        .and_then(|(_, rest)| rest.split(' ').next());
    list.is_some_and(|list| !contains(list, port))
}

/// A jump of another owner that takes packets of a forward before they reach the rules after it:
/// its comment. `None` when it does not, or when its chain is not in `state`.
pub fn taken_by(rule: &str, forward: &Forward, state: &State) -> Option<String> {
    if names_other_ports(rule, forward.host_port) {
        return None;
    }
    let (jump, meaning) = owner::jump(rule)?;
    let matched = meaning.matches.iter().all(|part| is_implied(part, forward));
    if !matched || jump.chain == DNAT {
        return None;
    }
    let rules = state.chain(&jump.chain)?;
    rules
        .iter()
        .any(|rule| hides(rule, forward))
        .then_some(jump.comment)
}

/// Whether a multiport match may have one of these ports.
pub fn may_have_one_of(rule: &str, ports: &BTreeSet<u16>) -> bool {
    let Some((_, rest)) = rule.split_once("--dports ") else {
        return true;
    };
    let list = rest.split(' ').next().unwrap_or_default();
    list.split(',').any(|item| {
        let (from, to) = item.split_once(':').unwrap_or((item, item));
        let from = from.parse().unwrap_or(0);
        let to = to.parse().unwrap_or(u16::MAX).max(from);
        ports.range(from..=to).next().is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Protocol;

    fn forward(host_ip: Option<&str>) -> Forward {
        Forward {
            protocol: Protocol::Tcp,
            host_ip: host_ip.map(|text| text.parse().unwrap()),
            host_port: 8080,
            container_port: 80,
        }
    }

    #[test]
    fn final_rules_hide_what_they_surely_match() {
        for rule in [
            "-j ACCEPT",
            "-p tcp -j RETURN",
            "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 1.1.1.1:1",
            "-p tcp -m tcp --dport 8000:9000 -j REDIRECT --to-ports 1",
            "-m addrtype --dst-type LOCAL -j ACCEPT",
            "-m addrtype --dst-type LOCAL -g ELSEWHERE",
            "-p tcp -m multiport --dports 1,8080 -m comment --comment x -j ACCEPT",
        ] {
            assert!(hides(rule, &forward(None)), "{rule}");
        }
        assert!(hides(
            "-d 192.0.2.1/32 -j ACCEPT",
            &forward(Some("192.0.2.1"))
        ));
    }

    #[test]
    fn rules_that_let_some_packets_through_do_not_hide() {
        for rule in [
            "-j LOG",
            "-j KUBE-SERVICES",
            "-g CNI-HOSTPORT-DNAT",
            "-p udp -j ACCEPT",
            "-s 10.0.0.0/8 -j ACCEPT",
            "-d 192.0.2.1/32 -j ACCEPT",
            "! -p tcp -j ACCEPT",
            "-p tcp -m tcp --dport 8081 -j ACCEPT",
            "-i eth0 -j ACCEPT",
        ] {
            assert!(!hides(rule, &forward(None)), "{rule}");
        }
        assert!(!hides_everything("-p tcp -j RETURN"));
        assert!(hides_everything("-m comment --comment x -j RETURN"));
    }
}
