use std::net::SocketAddr;

use common::Protocol;
use common::result::Prefix;

use super::*;

fn forwards(family: Family, conditions: &[&str], ports: &[(&str, u16, u16)]) -> Forwards {
    let container = match family {
        Family::V4 => "10.22.0.2/16",
        Family::V6 => "fd00:22::2/64",
    };
    Forwards {
        family,
        container: Prefix::from_text(container).unwrap(),
        conditions: conditions.iter().map(|word| (*word).to_owned()).collect(),
        ports: ports
            .iter()
            .map(|(protocol, number, container_port)| {
                let port = HostPort {
                    protocol: Protocol::from_text(protocol).unwrap(),
                    address: None,
                    within: None,
                    number: *number,
                };
                let addr = Prefix::from_text(container).unwrap().addr;
                let to = SocketAddr::new(addr, *container_port);
                Forward { port, to }
            })
            .collect(),
        only: None,
        listed: ports
            .iter()
            .map(|(p, h, _)| (Protocol::from_text(p).unwrap(), *h))
            .collect(),
    }
}

fn of(ifname: &str, masquerade: Masquerade, mark: &Mark, forwards: &Forwards) -> Wanted {
    let attachment = Attachment {
        network: "net1".into(),
        container: "cid-0001".into(),
        ifname: ifname.into(),
    };
    wanted(&attachment, masquerade, mark, forwards)
}

#[test]
fn the_chain_has_the_reference_s_name() {
    let ports = forwards(Family::V4, &[], &[("tcp", 8080, 80)]);
    let wanted = of("eth0", Masquerade::Needed, &Mark::Bit(13), &ports);
    assert_eq!(wanted.shared_name(), "CNI-DN-e3b332d931428973f7ef7");
    assert_ne!(wanted.exact_name(), wanted.shared_name());
}

#[test]
fn more_than_fifteen_ports_take_more_than_one_jump() {
    let many: Vec<(&str, u16, u16)> = (1..=31).map(|n| ("tcp", 2 * n, 80)).collect();
    let ports = forwards(Family::V4, &["-s", "10.0.0.0/8"], &many);
    let wanted = of("net1", Masquerade::Nothing, &Mark::Bit(13), &ports);
    let lengths: Vec<usize> = wanted.jumps.iter().map(|jump| jump.ports.len()).collect();
    assert_eq!(lengths, [15, 15, 1]);
    assert_eq!(
        wanted.jumps[2].to("X"),
        "-p tcp -m comment --comment \"dnat name: \\\"net1\\\" id: \\\"cid-0001\\\" if: \\\"net1\\\"\" \
         -m multiport --dports 62 -s 10.0.0.0/8 -j X"
    );
    assert_eq!(wanted.own.len(), 31);
    assert_eq!(wanted.chains, [(Table::Nat, DNAT), (Table::Mangle, GUARD)]);
}

#[test]
fn ipv6_has_no_rule_for_loopback_and_no_guard() {
    let ports = forwards(Family::V6, &[], &[("udp", 53, 5353)]);
    let wanted = of("eth0", Masquerade::Needed, &Mark::Bit(13), &ports);
    assert_eq!(
        wanted.own,
        [
            "-s fd00:22::/64 -p udp -m udp --dport 53 -j CNI-HOSTPORT-SETMARK",
            "-p udp -m udp --dport 53 -j DNAT --to-destination [fd00:22::2]:5353",
        ]
    );
    assert!(wanted.shared.iter().all(|rule| rule.table == Table::Nat));
}

#[test]
fn a_foreign_mark_chain_takes_the_place_of_ours() {
    let ports = forwards(Family::V4, &[], &[("tcp", 80, 80)]);
    let mark = Mark::Chain("KUBE-MARK-MASQ".into());
    let wanted = of("eth0", Masquerade::All, &mark, &ports);
    assert_eq!(wanted.own[0], "-p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ");
    assert_eq!(wanted.own.len(), 2);
    assert!(!wanted.chains.iter().any(|(_, chain)| *chain == SETMARK));
}

#[test]
fn a_jump_that_only_the_other_family_needs_is_left_out() {
    let mut ports = forwards(Family::V4, &[], &[("tcp", 80, 80)]);
    ports.listed.push((Protocol::Tcp, 81));
    ports.listed.push((Protocol::Udp, 82));
    let wanted = of("eth0", Masquerade::Nothing, &Mark::Bit(13), &ports);
    assert_eq!(wanted.jumps.len(), 1);
    assert_eq!(wanted.jumps[0].ports, [80, 81].map(Range::one));
}

#[test]
fn adjacent_ports_take_as_many_rules_as_one() {
    let rules = |offset: u16| {
        let many: Vec<_> = (8000..9000).map(|n| ("tcp", n, n + offset)).collect();
        let ports = forwards(Family::V4, &[], &many);
        of("eth0", Masquerade::Needed, &Mark::Bit(13), &ports)
    };
    let same = rules(0);
    assert_eq!(
        same.own,
        [
            "-s 10.22.0.0/16 -p tcp -m tcp --dport 8000:8999 -j CNI-HOSTPORT-SETMARK",
            "-s 127.0.0.1/32 -p tcp -m tcp --dport 8000:8999 -j CNI-HOSTPORT-SETMARK",
            "-p tcp -m tcp --dport 8000:8999 -j DNAT --to-destination 10.22.0.2",
        ]
    );
    assert_eq!(same.jumps.len(), 1);
    let jump = same.jumps[0].plain("X");
    assert!(
        jump.ends_with("-m multiport --dports 8000:8999 -j X"),
        "{jump}"
    );
    let single = same.singly().unwrap();
    assert_eq!((single.own.len(), single.jumps.len()), (3000, 67));
    assert_eq!(single.singly(), None);
    // A port that becomes another has its own translation.
    let other = rules(1);
    assert_eq!((other.own.len(), other.jumps.len()), (1002, 1));
}

#[test]
fn fewer_adjacent_ports_have_a_rule_each() {
    let many: Vec<_> = (8000..8015).map(|n| ("udp", n, n)).collect();
    let ports = forwards(Family::V6, &[], &many);
    let wanted = of("eth0", Masquerade::Nothing, &Mark::Bit(13), &ports);
    assert_eq!((wanted.own.len(), wanted.singly()), (15, None));
}
