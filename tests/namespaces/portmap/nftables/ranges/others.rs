//! Ranges that have ports of other attachments.

use sandbox::probe::{tcp, udp};
use serde_json::{Value, json};

use super::super::{Pod, contents, host_with, owned, ruleset};
use super::{EVERY, ONE, On, elements, mappings, tcp_ports};

#[test]
fn a_range_stays_whole_where_others_take_ports_of_it() {
    for on in EVERY {
        let net = host_with(3);
        let range = on.tcp(Pod::new(&net, 0), 8000..8100);
        let single = on.tcp(Pod::new(&net, 1), 8050..8051);
        let other = on.tcp(Pod::new(&net, 2), 8050..8052);
        range.does("ADD", &net.host);
        let alone = contents(&net.host);
        let warned = single.call("ADD", &net.host).stderr;
        let more = if on == On::One { " and 1 more" } else { "" };
        let lost = format!("8050/tcp{more} belonged to {}", range.owner());
        assert!(
            warned.contains(&lost) && !warned.contains("8051"),
            "{warned}"
        );
        single.does("DEL", &net.host);
        for newer in [&single, &other] {
            newer.does("ADD", &net.host);
            assert_eq!(elements(&net.host, &range), ONE);
            let told = range.fails("CHECK", &net.host, 101);
            assert!(
                told.contains(&format!(
                    "8050/tcp to {}",
                    newer.v4.split('/').next().unwrap()
                )),
                "{told}"
            );
            assert!(!told.contains("8060"), "{told}");
        }
        // The one in the middle of three goes, then comes again, and is the newest.
        let warned = range.call("ADD", &net.host).stderr;
        let more = if on == On::One { 3 } else { 1 };
        let won = format!("8050/tcp and {more} more belonged to {}", other.owner());
        assert!(
            warned.contains(&won) && !warned.contains("8052"),
            "{warned}"
        );
        range.does("CHECK", &net.host);
        assert_eq!(elements(&net.host, &range), ONE);
        single.does("DEL", &net.host);
        range.does("CHECK", &net.host);
        single.does("ADD", &net.host);
        single.does("CHECK", &net.host);
        other.does("ADD", &net.host);
        // Only on the port where it is neither the oldest nor the newest, it has single elements.
        assert_eq!(elements(&net.host, &other)[1], 0);
        for gone in [&single, &other] {
            gone.does("DEL", &net.host);
        }
        range.does("CHECK", &net.host);
        assert_eq!(contents(&net.host), alone);
    }
}

#[test]
fn whoever_waits_behind_a_range_is_served_when_it_goes_and_not_before() {
    for on in EVERY {
        let net = host_with(3);
        let [range, first, second] = [0, 1, 2].map(|n| Pod::new(&net, n));
        let whole = on.tcp(range.clone(), 8000..8020);
        let [first, second] = [first, second].map(|pod| on.tcp(pod, 8010..8011));
        first.does("ADD", &net.host);
        let before = elements(&net.host, &first);
        second.does("ADD", &net.host);
        whole.does("ADD", &net.host);
        // Another one who waits goes.
        second.does("DEL", &net.host);
        whole.does("CHECK", &net.host);
        assert_ne!(elements(&net.host, &first), before);
        // A request that does not name the port serves it all the same.
        on.tcp(range, 8000..8005).does("DEL", &net.host);
        assert_eq!(elements(&net.host, &first), before);
        first.does("CHECK", &net.host);
    }
}

#[test]
fn of_two_ranges_that_meet_the_newer_one_is_served_and_either_may_go_first() {
    for on in EVERY {
        for first in [0, 1] {
            let net = host_with(2);
            let pods = [(0, 8000..8060), (1, 8030..8090)];
            let pods = pods.map(|(n, ports)| on.tcp(Pod::new(&net, n), ports));
            let servers = [0, 1].map(|n| {
                let ports = [8000, 8029, 8030, 8059, 8060, 8089];
                ports.map(|port| {
                    tcp::Server::start(&net.containers[n], port, &n.to_string()).unwrap()
                })
            });
            let answers = |expected: [Option<&str>; 6]| {
                for (port, by) in [8000, 8029, 8030, 8059, 8060, 8089]
                    .into_iter()
                    .zip(expected)
                {
                    for to in net.host.both(port) {
                        let within = std::time::Duration::from_millis(300);
                        let outcome = tcp::exchange_within(net.client(), to, within);
                        assert_eq!(outcome.server(), by, "{to}");
                    }
                }
            };
            let (a, b) = (Some("0"), Some("1"));
            pods.iter().for_each(|pod| pod.does("ADD", &net.host));
            answers([a, a, b, b, b, b]);
            assert_eq!(elements(&net.host, &pods[0]), ONE);
            assert_eq!(elements(&net.host, &pods[1]), [150, 5]);
            pods[1].does("CHECK", &net.host);
            let told = pods[0].fails("CHECK", &net.host, 101);
            assert!(told.contains(&pods[1].owner()), "{told}");
            pods[first].does("DEL", &net.host);
            match first {
                0 => answers([None, None, b, b, b, b]),
                _ => answers([a, a, a, a, None, None]),
            }
            let left = &pods[1 - first];
            left.does("CHECK", &net.host);
            left.does("ADD", &net.host);
            left.does("DEL", &net.host);
            answers([None; 6]);
            assert_eq!(owned(&net.host, &left.owner()).len(), 0);
            drop(servers);
        }
    }
}

#[test]
fn gc_of_a_range_serves_those_who_wait_and_leaves_the_others() {
    for on in EVERY {
        let net = host_with(3);
        let older = on.tcp(Pod::new(&net, 1), 8010..8011);
        let range = on.tcp(Pod::new(&net, 0), 8000..8020);
        let newer = on.tcp(Pod::new(&net, 2), 8015..8016);
        older.does("ADD", &net.host);
        newer.does("ADD", &net.host);
        newer.does("DEL", &net.host);
        let before = contents(&net.host);
        range.does("ADD", &net.host);
        assert_eq!(elements(&net.host, &range), ONE);
        newer.does("ADD", &net.host);
        let valid = [&older, &newer].map(|pod| json!({"containerID": pod.id, "ifname": "eth0"}));
        let gc = |valid: &[Value]| {
            let request = json!({"cniVersion": "1.1.0", "name": "net1", "type": "portmap",
            "cni.dev/valid-attachments": valid});
            let answer = range.prepared("GC", &request).run(&net.host).unwrap();
            assert_eq!(answer.code, Some(0), "{}", answer.stdout);
        };
        gc(&valid);
        assert_eq!(owned(&net.host, &range.owner()).len(), 0);
        older.does("CHECK", &net.host);
        newer.does("CHECK", &net.host);
        gc(&valid[..1]);
        let mut now = contents(&net.host);
        // The sets stay, as those of a network's prefix do.
        now.retain(|line| !line.contains("_ranges"));
        assert_eq!(now, before);
    }
}

#[test]
fn a_port_taken_from_a_range_is_masqueraded_as_its_owner_wants_it() {
    let net = host_with(2);
    let all = Pod::new(&net, 0)
        .mapping(json!(
            [mappings("tcp", 8000..8020), mappings("udp", 8000..8020)].concat()
        ))
        .with("masqAll", json!(true));
    let one = Pod::new(&net, 1).mapping(tcp_ports(8010..8011));
    let _servers = [0, 1].map(|n| tcp::Server::start(&net.containers[n], 8010, "x").unwrap());
    let _udp = udp::Server::start(&net.containers[0], 8010, "x").unwrap();
    all.does("ADD", &net.host);
    let peer = |outcome: &sandbox::probe::Outcome| outcome.peer().map(|peer| peer.ip().to_string());
    let to = ([10, 99, 0, 1], 8010).into();
    let masqueraded = peer(&tcp::exchange(net.client(), to));
    assert_eq!(masqueraded.as_deref(), Some("10.22.0.1"));
    one.does("ADD", &net.host);
    let seen = peer(&tcp::exchange(net.client(), to));
    assert_ne!(seen, masqueraded);
    one.does("DEL", &net.host);
    assert_eq!(peer(&tcp::exchange(net.client(), to)), masqueraded);
}

#[test]
fn a_container_s_second_network_leaves_its_range_to_the_first() {
    let net = host_with(1);
    let first = Pod::new(&net, 0).mapping(tcp_ports(8000..8020));
    let mut second = first.clone();
    second.network = "net2".into();
    second.ifname = "eth1".into();
    second.v4 = "10.23.0.2/16".into();
    let server = tcp::Server::start(&net.containers[0], 8019, "pod").unwrap();
    first.does("ADD", &net.host);
    second.does("ADD", &net.host);
    let to = ([10, 99, 0, 1], 8019).into();
    assert_eq!(tcp::exchange(net.client(), to).server(), Some("pod"));
    assert_eq!(elements(&net.host, &first), ONE);
    first.does("CHECK", &net.host);
    second.does("CHECK", &net.host);
    first.does("DEL", &net.host);
    second.does("CHECK", &net.host);
    second.does("DEL", &net.host);
    assert_eq!(owned(&net.host, &second.owner()).len(), 0);
    drop(server);
}

#[test]
fn a_port_of_a_range_is_a_conflict_wherever_its_addresses_are_another_s() {
    for (held, wanted) in EVERY
        .into_iter()
        .flat_map(|one| EVERY.map(|other| (one, other)))
    {
        let net = host_with(2);
        for [first, second] in [[8000..8020, 8010..8011], [8010..8011, 8000..8020]] {
            let holder = held.tcp(Pod::new(&net, 0), first);
            let careful = Pod::new(&net, 1).with("onConflict", json!("error"));
            let beside = wanted.tcp(careful.clone(), 8020..8040);
            let careful = wanted.tcp(careful, second);
            holder.does("ADD", &net.host);
            let before = contents(&net.host);
            let told = careful.fails("ADD", &net.host, 102);
            assert!(
                told.contains("8010/tcp is taken"),
                "{held:?} {wanted:?}: {told}"
            );
            assert!(
                told.contains(&holder.owner()),
                "{held:?} {wanted:?}: {told}"
            );
            assert_eq!(contents(&net.host), before);
            beside.does("ADD", &net.host);
            for pod in [beside, holder] {
                pod.does("CHECK", &net.host);
                pod.does("DEL", &net.host);
            }
        }
    }
}

#[test]
fn a_range_within_other_limits_keeps_its_ports_on_the_addresses_in_common() {
    let limited = |pod, ports, prefix| {
        let pod: Pod = On::All.tcp(pod, ports);
        pod.with("hostAddresses", json!([prefix]))
    };
    for [first, second] in [[8000..8020, 8010..8011], [8010..8011, 8000..8020]] {
        let net = host_with(2);
        let _servers =
            [0, 1].map(|n| tcp::Server::start(&net.containers[n], 8010, &n.to_string()).unwrap());
        let older = limited(Pod::new(&net, 0), first, "10.99.0.0/24");
        let newer = limited(Pod::new(&net, 1), second, "10.99.0.0/25");
        older.does("ADD", &net.host);
        let warned = newer.call("ADD", &net.host).stderr;
        let words = format!("host port 8010/tcp stays with {}", older.owner());
        assert!(warned.contains(&words), "{warned}");
        let to = ([10, 99, 0, 1], 8010).into();
        assert_eq!(tcp::exchange(net.client(), to).server(), Some("0"));
        older.does("CHECK", &net.host);
        let told = newer.fails("CHECK", &net.host, 101);
        assert!(
            told.contains(&older.owner()) && !told.contains("8011"),
            "{told}"
        );
        older.does("DEL", &net.host);
        assert_eq!(tcp::exchange(net.client(), to).server(), Some("1"));
        newer.does("CHECK", &net.host);
        newer.does("DEL", &net.host);
        // GC removes what the limits had, with the chain of ranges.
        let request = json!({"cniVersion": "1.1.0", "name": "net1", "type": "portmap",
            "cni.dev/valid-attachments": []});
        let answer = newer.prepared("GC", &request).run(&net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{}", answer.stdout);
        assert!(!ruleset(&net.host).contains("within"));
    }
}
