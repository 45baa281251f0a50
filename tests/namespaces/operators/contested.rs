//! What takes a host port's packets before our rules: NodePorts of kube-proxy, rules of others.

use sandbox::executable;
use serde_json::{Value, json};

use super::place::{Backend, Place, on_every_backend};

on_every_backend!(
    a_nodeport_of_iptables_takes_a_port_in_every_command,
    a_nodeport_of_nft_may_take_a_port_of_its_addresses,
    a_foreign_rule_of_nft_takes_a_port_only_where_it_comes_first,
    a_rule_that_ends_the_chain_of_iptables_before_ours_takes_a_port,
    a_port_within_limits_is_judged_on_its_addresses,
    limits_that_meet_are_shadowed_on_what_they_have_in_common,
);

/// Carries out a script on the node.
#[track_caller]
fn host(place: &Place, script: &str) {
    let mut command = place.net.host.command("sh");
    command.args(["-ec", script]);
    command.env("XTABLES_LOCKFILE", place.directory.join("lock"));
    assert!(command.status().unwrap().success(), "{script}");
}

/// State and details of the port 8000, where the other one is active.
#[track_caller]
fn of_8000(place: &Place) -> (String, String) {
    let said = place.run("portmap", &["ports", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let document = said.json();
    let find = |port: u16| {
        let mut rows = document["portMappings"].as_array().unwrap().iter();
        rows.find(|row| row["hostPort"] == port).unwrap()
    };
    assert_eq!(find(9000)["state"], "active", "{document}");
    let word = |key: &str| find(8000)[key].as_str().unwrap().to_owned();
    (word("state"), word("details"))
}

#[track_caller]
fn is_active(place: &Place) {
    assert_eq!(of_8000(place), ("active".to_owned(), String::new()));
}

#[track_caller]
fn is_taken(place: &Place, beginning: &str, rule: &str) {
    let (state, details) = of_8000(place);
    assert_eq!(state, "contested", "{details}");
    assert!(
        details.starts_with(beginning) && details.contains(rule),
        "{details}"
    );
}

/// A Service of two endpoints with the NodePort 8000, as kube-proxy writes it.
fn nodeport(program: &str) -> String {
    let rules = [
        "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        "-A KUBE-SEP-A -s 10.244.0.5/32 -j KUBE-MARK-MASQ",
        "-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.0.5:80",
        "-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.244.0.6:80",
        "-A KUBE-SVC-W -m statistic --mode random --probability 0.5 -j KUBE-SEP-A",
        "-A KUBE-SVC-W -j KUBE-SEP-B",
        "-A KUBE-EXT-W -j KUBE-MARK-MASQ",
        "-A KUBE-EXT-W -j KUBE-SVC-W",
        "-A KUBE-NODEPORTS -p tcp -m comment --comment shop/web -m tcp --dport 8000 -j KUBE-EXT-W",
        "-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-W",
        "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
        "-I PREROUTING -m comment --comment portals -j KUBE-SERVICES",
    ];
    let names = ["SERVICES", "NODEPORTS", "MARK-MASQ", "EXT-W", "SVC-W"];
    let chains = names.iter().chain(&["SEP-A", "SEP-B"]);
    let chains = chains.map(|name| format!("{program} -t nat -N KUBE-{name}\n"));
    let rules = rules.map(|rule| format!("{program} -t nat {rule}\n"));
    chains.chain(rules).collect()
}

fn a_nodeport_of_iptables_takes_a_port_in_every_command(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    is_active(&place);
    // Beside nftables' chains the kernel calls the newest ones of iptables first, and does not say so.
    let (program, beginning) = match backend {
        Backend::IptablesNft => ("iptables-nft", "taken first by"),
        Backend::IptablesLegacy => ("iptables-legacy", "taken first by"),
        Backend::Nftables => ("iptables-nft", "perhaps taken first by"),
    };
    host(&place, &nodeport(program));
    is_taken(&place, beginning, "--to-destination 10.244.0.5:80");
    let said = place.run("portmap", &["who", "8000"]);
    let words = format!("contested {beginning} ");
    assert!(said.stdout.contains(&words), "{said:?}");
    let said = place.run("portmap", &["metrics"]);
    let sample = format!(
        "cni_portmap_mappings{{backend=\"{}\",state=\"contested\"}} 1.0",
        backend.shown()
    );
    assert!(said.stdout.contains(&sample), "{said:?}");
    for command in [&["doctor"][..], &["explain", "8000"]] {
        let said = place.run("portmap", command);
        let text = match (command[0], backend) {
            ("doctor", Backend::Nftables) => "comes before ours and may take 8000/tcp",
            ("doctor", _) => "comes before ours and takes 8000/tcp",
            (_, Backend::Nftables) => "may take it before ours",
            _ => "takes it before ours",
        };
        assert_eq!(said.stdout.matches(text).count(), 1, "{said:?}");
    }
    host(&place, &format!("{program} -t nat -F KUBE-NODEPORTS"));
    is_active(&place);
}

fn a_nodeport_of_nft_may_take_a_port_of_its_addresses(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    let table = "table ip kube-proxy {
        set nodeport-ips { type ipv4_addr; elements = { 10.22.0.1 }; }
        chain masquerade-mark { meta mark set meta mark or 0x4000; }
        chain endpoint-A { ip saddr 10.244.0.5 jump masquerade-mark; meta l4proto tcp dnat to 10.244.0.5:80; }
        chain service-A { numgen random mod 1 vmap { 0 : goto endpoint-A }; }
        chain external-A { jump masquerade-mark; goto service-A; }
        map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
        map service-nodeports {
            type inet_proto . inet_service : verdict
            elements = { tcp . 8000 : goto external-A, udp . 9100 : goto external-A }
        }
        chain services {
            ip daddr . meta l4proto . th dport vmap @service-ips
            ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
        }
        chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
    }";
    host(&place, &format!("nft '{table}'"));
    let taken = || {
        is_taken(
            &place,
            "perhaps taken first by",
            "chain endpoint-A of ip kube-proxy",
        );
    };
    taken();
    let map = "element ip kube-proxy service-nodeports";
    host(&place, &format!("nft 'delete {map} {{ tcp . 8000 }}'"));
    is_active(&place);
    // A Service's own address of that number is another one's.
    let add = "add element ip kube-proxy service-ips";
    host(
        &place,
        &format!("nft '{add} {{ 10.96.0.1 . tcp . 8000 : goto external-A }}'"),
    );
    is_active(&place);
    host(
        &place,
        &format!("nft 'add {map} {{ tcp . 8000 : goto external-A }}'"),
    );
    taken();
    let addresses = "ip kube-proxy nodeport-ips";
    host(
        &place,
        &format!("nft 'flush set {addresses}; add element {addresses} {{ 192.0.2.9 }}'"),
    );
    is_active(&place);
}

fn a_foreign_rule_of_nft_takes_a_port_only_where_it_comes_first(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    for (name, rule) in [
        ("a-set", "tcp dport { 8000, 8443 } dnat to 10.9.9.9:1"),
        ("some-verdicts", "tcp dport vmap { 8000 : goto away }"),
        ("a-map", "dnat to tcp dport map { 8000 : 10.9.9.9 }"),
    ] {
        for (priority, is_first) in [(-110, true), (-90, false)] {
            let table = format!(
                "table ip other {{
                    chain away {{ meta l4proto tcp dnat to 10.9.9.9:1; }}
                    chain {name} {{ type nat hook prerouting priority {priority}; {rule}; }}
                }}"
            );
            host(&place, &format!("nft '{table}'"));
            match is_first {
                true => is_taken(&place, "taken first by", "of ip other)"),
                false => is_active(&place),
            }
            host(&place, "nft delete table ip other");
        }
    }
}

fn a_rule_that_ends_the_chain_of_iptables_before_ours_takes_a_port(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    let program = match backend {
        Backend::IptablesLegacy => "iptables-legacy",
        _ => "iptables-nft",
    };
    for (rule, target, beginning) in [
        ("-p tcp", "-j RETURN", "taken first by"),
        ("-p tcp", "-j ACCEPT", "taken first by"),
        (
            "-p tcp -s 10.99.0.0/16",
            "-j ACCEPT",
            "perhaps taken first by",
        ),
    ] {
        let rule = format!("{rule} {target}");
        host(&place, &format!("{program} -t nat -I PREROUTING {rule}"));
        let said = place.run("portmap", &["explain", "8000"]);
        match backend {
            // Other chains are not ended by it.
            Backend::Nftables => is_active(&place),
            _ => {
                is_taken(&place, beginning, target);
                assert!(said.stdout.contains(target), "{said:?}");
            }
        }
        host(&place, &format!("{program} -t nat -D PREROUTING {rule}"));
        is_active(&place);
    }
}

#[test]
fn a_map_of_more_elements_than_are_compared_may_take_every_port() {
    let place = Place::new(Backend::IptablesNft, 1);
    place.attach_all("portmap");
    let table = "table ip other {
        map services { type ipv4_addr . inet_proto . inet_service : verdict; }
        chain away { meta l4proto tcp dnat to 10.9.9.9:1; }
        chain first {
            type nat hook prerouting priority -110;
            ip daddr . meta l4proto . th dport vmap @services
        }
    }";
    host(&place, &format!("nft '{table}'"));
    is_active(&place);
    for (count, is_known) in [(60_000, true), (70_000, false)] {
        let element =
            r#"printf "10.96.%d.%d . tcp . %d : goto away,\n", n / 1000, n % 250, n % 65536"#;
        let elements = format!(
            r#"BEGIN {{ print "add element ip other services {{"; for (n = 0; n < {count}; n++) {element}; print "}}" }}"#
        );
        host(&place, &format!("awk '{elements}' | nft -f -"));
        match is_known {
            true => is_active(&place),
            false => is_taken(&place, "perhaps taken first by", "chain away of ip other"),
        }
    }
}

#[test]
fn rules_that_cannot_be_read_are_an_error_and_never_none() {
    let place = Place::new(Backend::IptablesNft, 1);
    place.attach_all("portmap");
    host(&place, "iptables-legacy -A INPUT -j ACCEPT");
    is_active(&place);
    for name in ["iptables-legacy-restore", "iptables-legacy-save"] {
        let program = place.directory.join(name);
        executable::script(&program, "#!/bin/sh\necho torn >&2\nexit 4\n").unwrap();
    }
    for command in [&["ports", "--json"][..], &["who", "8000", "--json"]] {
        let said = place.run("portmap", command);
        assert_eq!(said.code, Some(1), "{said:?}");
        let unreadable: Vec<Value> = said.json()["unreadable"].as_array().unwrap().clone();
        assert_eq!(unreadable.len(), 1, "{said:?}");
        let error = unreadable[0].as_str().unwrap();
        assert!(
            error.contains("list the legacy tables (IPv4)") && error.contains("torn"),
            "{error}"
        );
        assert_ne!(said.json()["portMappings"], json!([]));
    }
    let said = place.run("portmap", &["metrics"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("cni_metrics_errors 1.0"), "{said:?}");
}

/// A node whose network `net1` maps the port 8000 of a pod on some addresses.
#[track_caller]
fn attach_within(place: Place, index: usize, addresses: &[&str]) -> Place {
    let place = place.with("hostAddresses", json!(addresses));
    let port = json!({"hostPort": 8000, "containerPort": 80, "protocol": "tcp"});
    place.attach("portmap", index, &json!({"portMappings": [port]}));
    place
}

/// The addresses, state and details of each pod's port.
#[track_caller]
fn within(place: &Place) -> Vec<(String, Value, String)> {
    let said = place.run("portmap", &["ports", "--json"]);
    let mut rows = said.json()["portMappings"].as_array().unwrap().clone();
    rows.sort_by_key(|row| row["container"].to_string());
    let row = |row: &Value| {
        let word = |key: &str| row[key].as_str().unwrap().to_owned();
        (word("state"), row["hostAddresses"].clone(), word("details"))
    };
    rows.iter().map(row).collect()
}

fn a_port_within_limits_is_judged_on_its_addresses(backend: Backend) {
    let place = Place::new(backend, 2);
    host(&place, "ip address add 198.51.100.1/24 dev lo");
    let place = attach_within(place, 0, &["10.22.0.0/16"]);
    let place = attach_within(place, 1, &["198.51.100.0/25", "198.51.100.128"]);
    let active = |addresses: &[&str]| ("active".to_owned(), json!(addresses), String::new());
    let [first, second] = [
        &["10.22.0.0/16"][..],
        &["198.51.100.0/25", "198.51.100.128"],
    ];
    assert_eq!(within(&place), [active(first), active(second)]);
    let said = place.run("portmap", &["who", "8000"]);
    for text in ["10.22.0.0/16:8000/tcp ", "198.51.100.0/25+1:8000/tcp "] {
        assert!(said.stdout.contains(text), "{said:?}");
    }
    let foreign = "table ip foreign { chain prerouting {
        type nat hook prerouting priority dstnat - 10;
        ip daddr 198.51.100.1 tcp dport 8000 dnat to 10.244.0.5:80; }; }";
    host(&place, &format!("nft '{foreign}'"));
    let found = within(&place);
    assert_eq!(found[0], active(first));
    assert_eq!(found[1].0, "contested", "{found:?}");
    let said = place.run("portmap", &["explain", "8000"]);
    for text in [
        "of 10.22.0.0/16 this node has 10.22.0.1",
        "of 198.51.100.0/25, 198.51.100.128 this node has 198.51.100.1",
    ] {
        assert!(said.stdout.contains(text), "{said:?}");
    }
    assert_eq!(
        said.stdout.matches("takes it before ours").count(),
        2,
        "{said:?}"
    );
    let said = place.run("portmap", &["explain", "8000", "--from", "127.0.0.1"]);
    assert!(said.stdout.contains("so not on 127.0.0.1"), "{said:?}");
    host(&place, "ip address delete 198.51.100.1/24 dev lo");
    let said = place.run("portmap", &["explain", "8000"]);
    assert!(
        said.stdout.contains("this node has no such address"),
        "{said:?}"
    );
}

fn limits_that_meet_are_shadowed_on_what_they_have_in_common(backend: Backend) {
    let place = attach_within(Place::new(backend, 3), 0, &["10.22.0.0/16"]);
    let place = attach_within(place, 1, &["10.22.0.0/24", "198.51.100.0/24"]);
    // The oldest limits of nftables come first, the newest attachment of iptables does.
    let (loser, winner) = match backend {
        Backend::Nftables => (1, 0),
        _ => (0, 1),
    };
    let found = within(&place);
    let behind = format!("behind net1/{}/eth0 on 10.22.0.0/24", place.id(winner));
    let state = |index: usize| (found[index].0.as_str(), found[index].2.as_str());
    assert_eq!(state(winner), ("active", ""));
    assert_eq!(state(loser), ("shadowed", behind.as_str()));
    // With the same limits, the newer one has all.
    let place = attach_within(place, 2, &["10.22.0.0/24", "198.51.100.0/24"]);
    let found = within(&place);
    let behind = format!("behind net1/{}/eth0", place.id(2));
    assert_eq!((found[1].0.as_str(), &found[1].2), ("shadowed", &behind));
}
