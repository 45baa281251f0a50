//! GC takes back what dead attachments of its network left, and nothing else.

use std::fs;
use std::time::Duration;

use sandbox::plugin::{Answer, Call, Running};
use sandbox::wait_until;

use super::node::{Backend, Host, REFERENCE, mapping, on_both_variants, on_every_backend, request};
use crate::faults::{held_at, until_it_waits};

on_every_backend!(gc_removes_the_dead_of_its_network_only);
on_both_variants!(
    gc_removes_what_the_reference_left,
    gc_knows_the_dead_by_their_chains_where_marks_are_cut,
    gc_names_what_may_be_of_a_network_whose_name_is_cut,
);

pub fn gc(host: &Host, network: &str, valid: &[(&str, &str)]) -> Answer {
    let answer = gc_call(host, network, valid).run(&host.net.host).unwrap();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    answer
}

fn gc_call(host: &Host, network: &str, valid: &[(&str, &str)]) -> Call {
    let valid: Vec<String> = valid
        .iter()
        .map(|(id, ifname)| format!(r#"{{"containerID":"{id}","ifname":"{ifname}"}}"#))
        .collect();
    let request = format!(
        r#"{{"cniVersion":"1.1.0","name":"{network}","type":"portmap",
            "cni.dev/valid-attachments":[{}]}}"#,
        valid.join(",")
    );
    let call = host.call("GC", &request).without("CNI_NETNS");
    call.env("CNI_CONTAINERID", "").env("CNI_IFNAME", "")
}

/// A dead container, and a new one that no list of GC has.
struct Meanwhile {
    host: Host,
}

impl Meanwhile {
    fn new(backend: Backend) -> Meanwhile {
        let host = Host::usual(backend);
        let meanwhile = Meanwhile { host };
        meanwhile.host.ok(&meanwhile.of("ADD", "dead", 8080));
        meanwhile
    }

    fn of(&self, verb: &str, id: &str, port: u16) -> Call {
        let request = request("", &mapping("tcp", port, 80));
        self.host.call(verb, &request).env("CNI_CONTAINERID", id)
    }

    fn gc(&self) -> Running {
        let call = gc_call(&self.host, "net1", &[]);
        call.spawn(&self.host.net.host).unwrap()
    }

    /// GC has begun before the new one was there.
    fn ends(self, gc: Running) {
        let answer = gc.wait().unwrap();
        assert_eq!(answer.code, Some(0), "{answer:?}");
        self.host.ok(&self.of("CHECK", "new", 8081));
        let nat = self.host.nat("iptables");
        assert!(!nat.contains("dead"), "{nat}");
        self.host.ok(&self.of("DEL", "new", 8081));
        self.host.is_clean();
    }
}

#[test]
fn who_is_being_added_to_nf_tables_while_gc_waits_for_its_turn_lives() {
    let mut waited = 0;
    for nth in 1..80 {
        let meanwhile = Meanwhile::new(Backend::IptablesNft);
        let mut gc = None;
        let add = meanwhile.of("ADD", "new", 8081);
        let answer = held_at(&meanwhile.host.net.host, &add, nth, || {
            // Not once its rules are there.
            if !meanwhile.host.nat("iptables").contains("new") {
                let running = meanwhile.gc();
                gc = until_it_waits(&running).then_some(running);
            }
        });
        if let Some(gc) = gc {
            waited += 1;
            meanwhile.ends(gc);
        }
        if answer.is_none() {
            assert!(waited > 2, "{waited} of {nth}");
            return;
        }
    }
    panic!("requests without end");
}

#[test]
fn who_is_added_to_legacy_tables_while_gc_waits_for_the_lock_lives() {
    let meanwhile = Meanwhile::new(Backend::IptablesLegacy);
    let lock = meanwhile.host.directory.join("lock");
    let held = fs::File::options().write(true).open(&lock).unwrap();
    held.lock().unwrap();
    let gc = meanwhile.gc();
    let files = format!("/proc/{}/fd", gc.id().unwrap());
    let waits = || {
        let files = fs::read_dir(&files).into_iter().flatten().flatten();
        let mut names = files.filter_map(|file| fs::read_link(file.path()).ok());
        names.any(|name| name == lock)
    };
    assert!(wait_until(Duration::from_secs(4), waits));
    let other = meanwhile.host.directory.join("other-lock");
    let add = meanwhile.of("ADD", "new", 8081);
    meanwhile
        .host
        .ok(&add.env("XTABLES_LOCKFILE", &other.display().to_string()));
    held.unlock().unwrap();
    meanwhile.ends(gc);
}

/// GC goes through the backends one after the other, and waits in the first.
#[test]
fn who_is_added_by_iptables_while_gc_waits_in_nf_tables_lives() {
    for nth in 1..80 {
        let meanwhile = Meanwhile::new(Backend::IptablesLegacy);
        let host = &meanwhile.host;
        let by_nftables = |verb, id: &str, port| {
            let request = request("", &mapping("tcp", port, 80));
            let backend = r#""backend":"nftables","type": "portmap","#;
            let request = request.replacen(r#""type":"portmap","#, backend, 1);
            host.call(verb, &request).env("CNI_CONTAINERID", id)
        };
        host.ok(&by_nftables("ADD", "dead-too", 8082));
        let mut gc = None;
        let holder = by_nftables("ADD", "holder", 8083);
        held_at(&host.net.host, &holder, nth, || {
            if host
                .net
                .host
                .sh(["nft", "list", "ruleset"])
                .contains("holder")
            {
                return;
            }
            let running = meanwhile.gc();
            if until_it_waits(&running) {
                host.ok(&meanwhile.of("ADD", "new", 8081));
                gc = Some(running);
            }
        })
        .unwrap();
        if let Some(gc) = gc {
            let answer = gc.wait().unwrap();
            assert_eq!(answer.code, Some(0), "{answer:?}");
            host.ok(&by_nftables("CHECK", "holder", 8083));
            host.ok(&by_nftables("DEL", "holder", 8083));
            host.ok(&meanwhile.of("CHECK", "new", 8081));
            let all = host.net.host.sh(["nft", "list", "ruleset"]);
            assert!(!all.contains("dead"), "{all}");
            assert!(!host.nat("iptables").contains("dead"));
            host.ok(&meanwhile.of("DEL", "new", 8081));
            return;
        }
    }
    panic!("GC never waited");
}

/// Two containers on a network, each with a port.
fn two(host: &Host, network: &str, ids: [&str; 2]) {
    for (id, port) in ids.into_iter().zip([8080, 8081]) {
        let request = request("", &mapping("tcp", port, 80)).replacen("net1", network, 1);
        let call = host.call("ADD", &request).env("CNI_CONTAINERID", id);
        host.ok(&call);
    }
}

fn gc_knows_the_dead_by_their_chains_where_marks_are_cut(backend: Backend) {
    let host = Host::usual(backend);
    let ids = ["1", "2"].map(|end| "c".repeat(240) + end);
    two(&host, "net1", [&ids[0], &ids[1]]);
    gc(&host, "net1", &[(&ids[1], "eth0")]);
    let nat = host.nat("iptables");
    assert!(!nat.contains(" 8080 ") && nat.contains(" 8081 "), "{nat}");
    gc(&host, "net1", &[]);
    host.is_clean();
}

fn gc_names_what_may_be_of_a_network_whose_name_is_cut(backend: Backend) {
    let host = Host::usual(backend);
    let network = "n".repeat(250);
    two(&host, &network, ["a", "b"]);
    let nat = host.nat("iptables");
    let other = format!("{}m", &network[1..]);
    for (network, named) in [(&network, 1), (&other, 2), (&"net1".to_owned(), 0)] {
        let stderr = gc(&host, network, &[("b", "eth0")]).stderr;
        let warnings = stderr.matches(" stays: the comment of its rules ").count();
        assert_eq!(warnings, named, "{stderr}");
        assert_eq!(host.nat("iptables"), nat);
    }
}

fn gc_removes_the_dead_of_its_network_only(backend: Backend) {
    let host = Host::usual(backend);
    let at = |port: u16| {
        // With iptables, the adjacent ones are a range.
        let adjacent = (20 * port..20 * port + 20).map(|port| mapping("sctp", port, port));
        let single = ["tcp", "udp"].map(|protocol| mapping(protocol, port, 80));
        let all: Vec<String> = single.into_iter().chain(adjacent).collect();
        request("", &all.join(","))
    };
    let call = |verb, network: &str, id: &str, ifname: &str, port| {
        let request = at(port)
            .replacen("net1", network, 1)
            .replace("eth0", ifname);
        host.call(verb, &request)
            .env("CNI_CONTAINERID", id)
            .env("CNI_IFNAME", ifname)
    };
    let all = [
        ("net1", "a", "eth0", 1001),
        ("net1", "a", "net1", 1002),
        ("net1", "b", "eth0", 1003),
        ("net2", "a", "eth0", 1004),
        ("net2", "c", "eth0", 1005),
    ];
    for (network, id, ifname, port) in all {
        host.ok(&call("ADD", network, id, ifname, port));
    }
    let alive = |expected: &[u16]| {
        for (network, id, ifname, port) in all {
            let check = call("CHECK", network, id, ifname, port)
                .run(&host.net.host)
                .unwrap();
            assert_eq!(
                check.code == Some(0),
                expected.contains(&port),
                "{port} {}",
                check.stdout
            );
        }
    };
    gc(
        &host,
        "net1",
        &[("a", "eth0"), ("a", "net1"), ("b", "eth0")],
    );
    alive(&[1001, 1002, 1003, 1004, 1005]);
    gc(&host, "net1", &[("a", "eth0"), ("c", "eth0")]);
    alive(&[1001, 1004, 1005]);
    gc(&host, "net1", &[]);
    alive(&[1004, 1005]);
    gc(&host, "net2", &[("c", "eth0")]);
    alive(&[1005]);
    gc(&host, "net2", &[]);
    host.is_clean();
    gc(&host, "net2", &[]);
}

fn gc_removes_what_the_reference_left(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    for id in ["a", "b"] {
        host.ok(&host
            .call_of(REFERENCE, "ADD", &request)
            .env("CNI_CONTAINERID", id));
    }
    gc(&host, "net1", &[("b", "net1")]);
    let nat = host.nat("iptables");
    assert!(
        !nat.contains(r#"id: \"a\""#) && nat.contains(r#"id: \"b\""#),
        "{nat}"
    );
    gc(&host, "net1", &[]);
    host.is_clean();
}
