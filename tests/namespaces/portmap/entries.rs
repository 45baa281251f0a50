//! Several entries in one list: each has its own ADD, CHECK and DEL, and the kernel serves all of them.

use std::net::SocketAddr;
use std::time::Duration;

use sandbox::probe::tcp;
use sandbox::{Namespace, Topology};

use super::node::{
    Backend, Host, REFERENCE, mapping, mapping_on, on_both_variants, on_every_backend, request,
    request_of,
};

on_every_backend!(
    packets_that_match_any_entry_are_mapped,
    entries_of_other_addresses_map_theirs,
    any_number_of_entries_may_have_one_port,
    each_entry_has_its_own_check_and_del,
    entries_of_names_of_any_length_stay_apart,
    del_of_another_list_than_was_added_leaves_nothing,
    what_a_failed_add_of_one_entry_leaves_is_the_others,
    gc_knows_the_attachment_by_all_its_entries,
);
on_both_variants!(
    entries_that_the_reference_added_are_taken_over_and_go,
    del_of_another_list_removes_chains_to_which_nothing_leads,
);

/// Long enough for a namespace next door, short enough to wait for.
const NO: Duration = Duration::from_millis(300);

/// Conditions on the source's network, whose addresses begin with `10.` and `fd` and this number.
fn sources(backend: Backend, number: &str) -> String {
    let (v4, v6) = (format!("10.{number}.0.0/24"), format!("fd{number}::/64"));
    match backend {
        Backend::Nftables => format!(
            r#""conditionsV4":["ip","saddr","{v4}"],"conditionsV6":["ip6","saddr","{v6}"],"#
        ),
        _ => format!(r#""conditionsV4":["-s","{v4}"],"conditionsV6":["-s","{v6}"],"#),
    }
}

fn entry(options: &str) -> String {
    request(options, &mapping("tcp", 8080, 80))
}

/// The entries of those in the client's network, and of those in the server's.
fn near_and_far(backend: Backend) -> [String; 2] {
    ["99", "98"].map(|number| entry(&sources(backend, number)))
}

fn host(backend: Backend) -> Host {
    Host::new(backend, &Topology::new().containers(2).client().server())
}

/// The node's rules without the lines that count packets.
fn rules(host: &Host) -> String {
    let state = host.state();
    let rules = state.lines().filter(|line| !line.starts_with(':'));
    rules.map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn is_open(is_open: bool, from: &Namespace, to: SocketAddr) {
    let outcome = tcp::exchange_within(from, to, NO);
    let server = is_open.then_some("pod");
    assert_eq!(outcome.server(), server, "{to} {outcome:?}");
}

/// Whether the client, the server and the second container reach the first one's port.
#[track_caller]
fn opened(host: &Host, near: bool, far: bool, others: bool) {
    for to in host.net.host.both(8080) {
        is_open(near, host.net.client(), to);
        is_open(far, host.net.server(), to);
        is_open(others, &host.net.containers[1], to);
    }
}

fn packets_that_match_any_entry_are_mapped(backend: Backend) {
    for options in ["", r#""onConflict":"error","#] {
        let host = host(backend);
        let _server = tcp::Server::start(host.pod(), 80, "pod").unwrap();
        let [near, far] = near_and_far(backend).map(|entry| {
            entry.replacen(
                r#""conditionsV4""#,
                &format!(r#"{options}"conditionsV4""#),
                1,
            )
        });
        let plain = entry(options);
        host.run("ADD", &near);
        opened(&host, true, false, false);
        host.run("ADD", &far);
        opened(&host, true, true, false);
        let state = rules(&host);
        for entry in [&near, &far, &near] {
            host.run("CHECK", entry);
            host.run("ADD", entry);
            assert_eq!(rules(&host), state, "{entry}");
        }
        host.run("ADD", &plain);
        opened(&host, true, true, true);
        let all = [&near, &far, &plain];
        all.iter().for_each(|entry| drop(host.run("CHECK", entry)));
        all.iter()
            .rev()
            .for_each(|entry| drop(host.run("DEL", entry)));
        host.is_clean();
        for entry in [&plain, &near, &far] {
            host.run("ADD", entry);
        }
        opened(&host, true, true, true);
        all.iter().for_each(|entry| drop(host.run("CHECK", entry)));
        host.run("DEL", &plain);
        opened(&host, true, true, false);
    }
}

fn entries_of_other_addresses_map_theirs(backend: Backend) {
    let host = host(backend);
    let _server = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let of = |list: &str| entry(&format!(r#""hostAddresses":{list},"#));
    let (one, other) = (of(r#"["10.99.0.1","fd99::1"]"#), of(r#"["10.98.0.0/24"]"#));
    let to = |address: &str| SocketAddr::new(address.parse().unwrap(), 8080);
    host.run("ADD", &one);
    is_open(true, host.net.client(), to("10.99.0.1"));
    is_open(false, host.net.server(), to("10.98.0.1"));
    host.run("ADD", &other);
    for entry in [&one, &other] {
        host.run("CHECK", entry);
        let state = rules(&host);
        host.run("ADD", entry);
        assert_eq!(rules(&host), state);
    }
    for address in ["10.99.0.1", "fd99::1", "10.98.0.1"] {
        is_open(true, host.net.client(), to(address));
    }
    is_open(false, host.net.client(), to("fd98::1"));
    host.run("DEL", &one);
    host.run("CHECK", &other);
    is_open(false, host.net.client(), to("10.99.0.1"));
    is_open(true, host.net.client(), to("10.98.0.1"));
    host.run("DEL", &other);
    host.is_clean();
}

fn any_number_of_entries_may_have_one_port(backend: Backend) {
    let host = host(backend);
    let entries = ["10.99.0.1", "10.99.0.0/24", "10.98.0.1\",\"10.99.0.1"].map(|list| {
        let limits = format!(r#""hostAddresses":["{list}"],"#);
        request(&limits, &mapping_on("10.99.0.1", "tcp", 8080, 80))
    });
    entries
        .iter()
        .for_each(|entry| drop(host.run("ADD", entry)));
    let state = rules(&host);
    for entry in &entries {
        host.run("CHECK", entry);
        host.run("ADD", entry);
        assert_eq!(rules(&host), state, "{entry}");
    }
    for (number, entry) in entries.iter().enumerate() {
        host.run("DEL", entry);
        let left = entries.iter().skip(number + 1);
        left.for_each(|entry| drop(host.run("CHECK", entry)));
    }
    host.is_clean();
}

fn each_entry_has_its_own_check_and_del(backend: Backend) {
    let host = host(backend);
    let _server = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let [near, far] = near_and_far(backend);
    for [one, other, number] in [[&near, &far, "98"], [&far, &near, "99"]] {
        host.run("ADD", &near);
        host.run("ADD", &far);
        lose_the_rule_of(&host, number);
        host.run("CHECK", one);
        host.fails(&host.call("CHECK", other), 101);
        host.run("ADD", other);
        host.run("CHECK", one);
        host.run("CHECK", other);
        opened(&host, true, true, false);
        host.run("DEL", other);
        host.run("CHECK", one);
        host.fails(&host.call("CHECK", other), 101);
        opened(&host, number == "98", number == "99", false);
        host.run("DEL", one);
        host.is_clean();
    }
}

/// Takes away the IPv4 rule with an entry's condition.
fn lose_the_rule_of(host: &Host, number: &str) {
    let source = format!("10.{number}.0.0/24");
    if host.backend != Backend::Nftables {
        let nat = host.nat("iptables");
        let mut jumps = nat
            .lines()
            .filter(|line| line.starts_with("-A CNI-HOSTPORT-DNAT"));
        let place = jumps.position(|line| line.contains(&source)).unwrap();
        host.iptables(
            "iptables",
            &format!("-t nat -D CNI-HOSTPORT-DNAT {}", place + 1),
        );
        return;
    }
    let chain = ["ip", "cni_portmap", "conditions"];
    let list = [&["nft", "-a", "list", "chain"][..], &chain].concat();
    let rules = host.net.host.try_sh(&list).unwrap();
    let rule = rules.lines().find(|line| line.contains(&source)).unwrap();
    let handle = rule.rsplit(' ').next().unwrap();
    let delete = [&["nft", "delete", "rule"][..], &chain, &["handle", handle]].concat();
    host.net.host.try_sh(&delete).unwrap();
}

fn entries_of_names_of_any_length_stay_apart(backend: Backend) {
    let host = host(backend);
    for length in [34, 64, 66, 200] {
        let name = "n".repeat(length);
        let [near, far] = near_and_far(backend).map(|entry| entry.replacen("net1", &name, 1));
        let plain = entry("").replacen("net1", &name, 1);
        let call = |verb, entry: &String| host.call(verb, entry).env("CNI_CONTAINERID", &name);
        let all = [&near, &far, &plain];
        all.iter()
            .for_each(|entry| drop(host.ok(&call("ADD", entry))));
        let valid =
            format!(r#""cni.dev/valid-attachments":[{{"containerID":"{name}","ifname":"eth0"}}]"#);
        let gc = format!(r#"{{"cniVersion":"1.1.0","name":"{name}","type":"portmap",{valid}}}"#);
        let state = rules(&host);
        host.run("GC", &gc);
        assert_eq!(rules(&host), state);
        all.iter()
            .for_each(|entry| drop(host.ok(&call("CHECK", entry))));
        host.ok(&call("DEL", &far));
        host.ok(&call("CHECK", &near));
        host.ok(&call("CHECK", &plain));
        host.run("GC", &gc.replace("containerID\":\"n", "containerID\":\"m"));
        host.is_clean();
    }
}

fn del_of_another_list_than_was_added_leaves_nothing(backend: Backend) {
    let host = host(backend);
    let [near, far] = near_and_far(backend);
    let other = entry(&sources(backend, "97"));
    let limited = entry(r#""hostAddresses":["10.99.0.0/24"],"#);
    let plain = entry("");
    let cases: [(&[&String], &[&String]); 8] = [
        (&[&near, &far], &[&far, &near]),
        (&[&near, &far], &[&plain, &far]),
        (&[&near, &far], &[&other]),
        (&[&plain], &[&near]),
        (&[&near], &[&plain]),
        (&[&near, &far, &plain, &limited], &[&other]),
        (&[&plain, &limited], &[&limited, &plain]),
        (&[&limited], &[&plain]),
    ];
    let bare = |entry: &String| {
        let (options, _) = entry.split_once(r#""runtimeConfig""#).unwrap();
        format!(r#"{options}"x":1}}"#)
    };
    for (number, (added, deleted)) in cases.into_iter().enumerate() {
        for is_bare in [false, true] {
            added.iter().for_each(|entry| drop(host.run("ADD", entry)));
            for entry in deleted {
                match is_bare {
                    true => host.run("DEL", &bare(entry)),
                    false => host.run("DEL", entry),
                };
            }
            let nat = host.nat("iptables");
            assert!(!nat.contains("dnat name:"), "{number} {is_bare} {nat}");
            host.is_clean();
        }
    }
}

fn del_of_another_list_removes_chains_to_which_nothing_leads(backend: Backend) {
    let host = host(backend);
    for entry in near_and_far(backend) {
        host.run("ADD", &entry);
    }
    for base in ["iptables", "ip6tables"] {
        host.iptables(base, "-t nat -F CNI-HOSTPORT-DNAT");
    }
    host.run("DEL", &entry(&sources(backend, "97")));
    host.is_clean();
}

fn what_a_failed_add_of_one_entry_leaves_is_the_others(backend: Backend) {
    let host = host(backend);
    let [near, far] = near_and_far(backend);
    let bad = match backend {
        Backend::Nftables => r#"["ip6","nosuch","1"]"#,
        _ => r#"["-m","nosuch"]"#,
    };
    let (start, end) = far.split_once(r#""conditionsV6":["#).unwrap();
    let (_, end) = end.split_once(']').unwrap();
    let broken = format!(r#"{start}"conditionsV6":{bad}{end}"#);
    host.run("ADD", &near);
    let state = rules(&host);
    host.fails(&host.call("ADD", &broken), 7);
    assert_eq!(rules(&host), state);
    host.run("CHECK", &near);
    host.run("ADD", &far);
    // All rules are written by the time that this fails.
    let switch = "/proc/sys/net/ipv4/conf/veth0/route_localnet";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", switch];
    let inject = ["-e", "inject=write:error=EIO"];
    let changed = host.call("ADD", &far.replace("8080", "8081"));
    let changed = changed.under(&[&strace[..], &inject].concat());
    let state = rules(&host);
    let loopback = "net.ipv4.conf.veth0.route_localnet";
    host.net.host.set_sysctl(loopback, "0").unwrap();
    host.fails(&changed, 100);
    host.net.host.set_sysctl(loopback, "1").unwrap();
    assert_eq!(rules(&host), state);
    host.run("CHECK", &near);
    host.run("CHECK", &far);
}

fn gc_knows_the_attachment_by_all_its_entries(backend: Backend) {
    let host = host(backend);
    let [near, far] = near_and_far(backend);
    let gc = |valid: &str| {
        format!(
            r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[{valid}]}}"#
        )
    };
    for entry in [&near, &far, &entry("")] {
        host.run("ADD", entry);
    }
    let state = rules(&host);
    host.run("GC", &gc(r#"{"containerID":"cid-0001","ifname":"eth0"}"#));
    assert_eq!(rules(&host), state);
    host.run("GC", &gc(r#"{"containerID":"cid-0002","ifname":"eth0"}"#));
    host.is_clean();
}

fn entries_that_the_reference_added_are_taken_over_and_go(backend: Backend) {
    let host = host(backend);
    let _server = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let of = |number: &str| {
        let options = format!(r#""conditionsV4":["-s","10.{number}.0.0/24"],"#);
        request_of(&options, &mapping("tcp", 8080, 80), &["10.22.0.2/16"])
    };
    let [near, far] = ["99", "98"].map(of);
    for is_added_again in [false, true] {
        for entry in [&near, &far] {
            host.ok(&host.call_of(REFERENCE, "ADD", entry));
        }
        if is_added_again {
            for entry in [&near, &far] {
                host.run("ADD", entry);
            }
            host.run("CHECK", &near);
            host.run("CHECK", &far);
        }
        let to = host.net.host.both(8080)[0];
        is_open(true, host.net.client(), to);
        is_open(true, host.net.server(), to);
        host.run("DEL", &far);
        host.run("DEL", &near);
        host.is_clean();
    }
}
