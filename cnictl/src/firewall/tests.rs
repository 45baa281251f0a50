use super::*;

fn packet() -> Packet {
    Packet {
        from: None,
        to: "10.22.0.2".parse().unwrap(),
        is_local: false,
        protocol: Protocol::Tcp,
        port: 80,
        interfaces: (None, Some("veth0".into())),
        states: &["NEW", "DNAT"],
    }
}

/// A firewall of one FORWARD chain and others.
fn firewall(drops: bool, chains: &[(&str, &[&str])]) -> Firewall {
    let chain = |(name, rules): &(&str, &[&str])| {
        let base = (*name == "FORWARD").then_some(Base {
            hook: Hook::Forward,
            priority: 0,
            is_nat: false,
            drops,
        });
        firewall::Chain {
            table: "ip filter".into(),
            name: (*name).into(),
            base,
            rules: rules
                .iter()
                .map(|rule| firewall::Rule::of((*rule).into()))
                .collect(),
        }
    };
    Firewall::of(chains.iter().map(chain).collect(), Vec::new())
}

fn word(filtered: Filtered) -> &'static str {
    match filtered {
        Filtered::Passed => "passed",
        Filtered::Dropped(_) => "dropped",
        Filtered::Unknown(_) => "unknown",
    }
}

#[test]
fn a_packet_is_judged_only_where_all_its_ends_are_alike() {
    let cases: [(bool, &[&str], &str); 14] = [
        (false, &[], "passed"),
        (true, &[], "dropped"),
        (true, &["-o veth0 -j ACCEPT"], "passed"),
        (true, &["-o veth+ -j ACCEPT"], "passed"),
        (true, &["-o veth1 -j ACCEPT"], "dropped"),
        (true, &["-i eth0 -j ACCEPT"], "unknown"),
        (false, &["-d 10.22.0.0/16 -j REJECT"], "dropped"),
        (false, &["! -d 10.22.0.0/16 -j REJECT"], "passed"),
        (false, &["-p tcp -m tcp --dport 1:79 -j DROP"], "passed"),
        (
            false,
            &["-p tcp -m multiport --dports 79,80 -j DROP"],
            "dropped",
        ),
        (true, &["-m conntrack --ctstate DNAT -j ACCEPT"], "passed"),
        (
            true,
            &["-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
            "dropped",
        ),
        (false, &["-m recent --name x -j DROP"], "unknown"),
        (true, &["-m mark --mark 0x4000/0x4000 -j ACCEPT"], "dropped"),
    ];
    for (drops, rules, expected) in cases {
        let firewall = firewall(drops, &[("FORWARD", rules)]);
        let filtered = firewall.filters(Hook::Forward, &packet());
        assert_eq!(word(filtered), expected, "{drops} {rules:?}");
    }
}

#[test]
fn chains_are_followed_and_come_back() {
    let cases: [(&[&str], &[&str], &str); 6] = [
        (&["-j X"], &["-j DROP"], "dropped"),
        (&["-j X"], &["-j RETURN", "-j DROP"], "passed"),
        (&["-j X", "-j DROP"], &["-p udp -j ACCEPT"], "dropped"),
        (&["-g X", "-j DROP"], &["-p udp -j ACCEPT"], "passed"),
        (&["-j X"], &["-j X"], "unknown"),
        (&["-j ELSEWHERE"], &[], "unknown"),
    ];
    for (forward, other, expected) in cases {
        let firewall = firewall(false, &[("FORWARD", forward), ("X", other)]);
        let filtered = firewall.filters(Hook::Forward, &packet());
        assert_eq!(word(filtered), expected, "{forward:?} {other:?}");
    }
}

#[test]
fn an_end_is_sure_where_every_rule_on_the_way_surely_matches() {
    let cases: [(&[&str], &[&str], bool); 6] = [
        (&["-j DROP"], &[], true),
        (&["-j X"], &["-p tcp -j DROP"], true),
        (&["-i eth0 -j X"], &["-j DROP"], false),
        (&["-j X", "-j DROP"], &["-i eth0 -j DROP"], false),
        (&["-i eth0 -j X", "-j DROP"], &["-p udp -j DROP"], true),
        (&["-j X"], &["-i eth0 -j RETURN", "-j DROP"], false),
    ];
    for (forward, other, expected) in cases {
        let firewall = firewall(false, &[("FORWARD", forward), ("X", other)]);
        let ends = firewall.ends(Hook::Forward, false, &packet());
        let last = ends[0].iter().rfind(|end| end.verdict == Verdict::Drop);
        assert_eq!(
            last.map(|end| end.is_sure),
            Some(expected),
            "{forward:?} {other:?}"
        );
    }
}

/// Chains of PREROUTING that translate: each with its table, its priority and its rules.
fn nat(chains: &[(&str, i32, &[&str])]) -> Firewall {
    let chain = |(table, priority, rules): &(&str, i32, &[&str])| firewall::Chain {
        table: (*table).into(),
        name: "PREROUTING".into(),
        base: Some(Base {
            hook: Hook::Prerouting,
            priority: *priority,
            is_nat: true,
            drops: false,
        }),
        rules: rules
            .iter()
            .map(|rule| firewall::Rule::of((*rule).into()))
            .collect(),
    };
    Firewall::of(chains.iter().map(chain).collect(), Vec::new())
}

#[test]
fn what_has_a_packet_before_ours_is_found_and_sure_only_where_the_order_is_known() {
    const OTHER: &[&str] = &["-p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9:1"];
    const DOUBTFUL: &[&str] =
        &["-s 10.99.0.0/16 -p tcp -m tcp -j DNAT --to-destination 10.9.9.9:1"];
    const ALL: &[&str] = &[
        "-m statistic --mode random --probability 0.5 -j DNAT --to-destination 10.9.9.9:1",
        "-j DNAT --to-destination 10.9.9.8:1",
    ];
    let own: &[&str] = &["-j CNI-HOSTPORT-DNAT"];
    let own_last = [OTHER, own].concat();
    let own_first = [own, OTHER].concat();
    let own_after_doubt = [DOUBTFUL, own].concat();
    type Chains<'a> = &'a [(&'a str, i32, &'a [&'a str])];
    const SOME: &[&str] = &["-s 10.99.0.0/16 -j RETURN"];
    let behind = |rule: &'static str| [&[rule], own].concat();
    let (accepted, returned) = (behind("-p tcp -j ACCEPT"), behind("-j RETURN"));
    let (perhaps, udp) = (behind(SOME[0]), behind("-p udp -j ACCEPT"));
    let cases: [(Chains<'_>, Option<bool>); 20] = [
        (&[("ip nat", -100, own)], None),
        (&[("ip nat", -100, &own_last)], Some(true)),
        (&[("ip nat", -100, &own_first)], None),
        (&[("ip nat", -100, &own_after_doubt)], Some(false)),
        (&[("ip a", -110, OTHER), ("ip nat", -100, own)], Some(true)),
        (&[("ip a", -110, ALL), ("ip nat", -100, own)], Some(true)),
        (
            &[("ip a", -110, DOUBTFUL), ("ip nat", -100, own)],
            Some(false),
        ),
        (&[("ip a", -90, OTHER), ("ip nat", -100, own)], None),
        (&[("ip a", -100, OTHER), ("ip nat", -100, own)], Some(false)),
        (&[("ip nat", -100, own), ("ip a", -100, OTHER)], Some(false)),
        // What ends the way through one chain only.
        (&[("ip nat", -100, &accepted)], Some(true)),
        (&[("ip nat", -100, &returned)], Some(true)),
        (&[("ip nat", -100, &perhaps)], Some(false)),
        (&[("ip nat", -100, &udp)], None),
        (
            &[("ip a", -110, &["-j ACCEPT"]), ("ip nat", -100, own)],
            None,
        ),
        (&[("ip a", -110, SOME), ("ip nat", -100, own)], None),
        (
            &[("ip a", -110, &["-j DROP"]), ("ip nat", -100, own)],
            Some(true),
        ),
        (&[("ip nat", -100, own), ("ip a", -90, &["-j DROP"])], None),
        (&[("ip a", -100, SOME), ("ip nat", -100, own)], None),
        // The reference's own table does not count as a stranger's.
        (
            &[("ip cni_hostport", -100, OTHER), ("ip a", -90, OTHER)],
            None,
        ),
    ];
    for (chains, expected) in cases {
        let found = match nat(chains).reaches(Hook::Prerouting, &packet()) {
            Reaches::Stopped(end) => Some(end.is_sure),
            Reaches::Ours => None,
            Reaches::Nothing => panic!("{chains:?}"),
        };
        assert_eq!(found, expected, "{chains:?}");
    }
    let nothing: [Chains<'_>; 3] = [
        &[],
        &[("ip nat", -100, &["-j ACCEPT"])],
        &[("ip nat", -100, &["-p udp -j CNI-HOSTPORT-DNAT"])],
    ];
    for chains in nothing {
        let found = nat(chains).reaches(Hook::Prerouting, &packet());
        assert_eq!(found, Reaches::Nothing, "{chains:?}");
    }
}
