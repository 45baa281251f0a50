//! iptables over netlink: rules of others disturb nothing, what all share stays where it is, and what is
//! removed goes by its handle.

use sandbox::probe::tcp;

use super::node::{Backend, Host, mapping, on_both_variants, request};

on_both_variants!(
    a_failed_add_leaves_what_others_may_have_come_to_need,
    a_jump_goes_directly_before_the_rule_in_its_way,
    a_chain_of_others_behind_many_jumps_is_seen_in_the_way,
);

/// GC of a network of which nothing is alive.
const GC: &str =
    r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[]}"#;

fn nft(host: &Host, command: &str) {
    host.net.host.sh(["nft", command]);
}

/// The chain of the only attachment.
fn own_chain(host: &Host) -> String {
    let nat = host.nat("iptables");
    let line = nat.lines().find(|line| line.starts_with(":CNI-DN-"));
    let name = line.and_then(|line| line[1..].split(' ').next());
    name.unwrap().to_owned()
}

#[test]
fn rules_that_iptables_cannot_print_disturb_no_verb() {
    for chain in ["PREROUTING", "OUTPUT", "POSTROUTING", "CNI-HOSTPORT-DNAT"] {
        for place in ["add", "insert"] {
            let host = Host::usual(Backend::IptablesNft);
            let request = request("", &mapping("tcp", 8080, 80));
            host.run("ADD", &request);
            let other = host
                .call("ADD", &request.replace("8080", "8081"))
                .env("CNI_CONTAINERID", "other");
            let foreign = format!("{place} rule ip nat {chain} ct mark set numgen inc mod 2");
            nft(&host, &foreign);
            let save = host.net.host.try_sh(&["iptables-nft-save", "-t", "nat"]);
            assert!(save.unwrap().contains("is incompatible"), "{foreign}");
            host.run("CHECK", &request);
            host.run("ADD", &request);
            host.ok(&other);
            host.run("CHECK", &request);
            host.run("DEL", &request);
            let left = || host.net.host.sh(["nft", "list", "table", "ip", "nat"]);
            assert!(!left().contains("8080") && left().contains("8081"));
            host.run("GC", GC);
            assert!(!left().contains("8081") && left().contains("numgen"));
        }
    }
}

/// The table is iptables', with rules of others, so ADD does not wake it.
#[test]
fn where_a_table_is_dormant_nothing_is_called_mapped() {
    for table in ["nat", "mangle"] {
        let host = Host::usual(Backend::IptablesNft);
        let request = request("", &mapping("tcp", 8080, 80));
        host.run("ADD", &request);
        nft(&host, &format!("add table ip {table} {{ flags dormant; }}"));
        host.drifted(
            &request,
            &format!("table {table} (IPv4): expected active, found dormant"),
        );
        let said = host.fails(&host.call("ADD", &request), 100);
        let way_out = format!("`nft add table ip {table}` wakes it");
        assert!(said.contains(&way_out), "{said}");
        nft(&host, &format!("add table ip {table}"));
        host.run("CHECK", &request);
        host.run("ADD", &request);
        nft(&host, &format!("add table ip {table} {{ flags dormant; }}"));
        host.run("DEL", &request);
        assert!(!host.nat("iptables").contains("CNI-DN-"));
    }
}

#[test]
fn a_chain_of_another_kind_where_iptables_needs_its_own_is_named_with_a_way_out() {
    for (chain, hook, found) in [
        (
            "nat PREROUTING",
            "{ type nat hook prerouting priority -90; }",
            "has type nat hook prerouting priority -90 policy accept",
        ),
        (
            "nat OUTPUT",
            "{ type filter hook output priority -100; policy drop; }",
            "has type filter hook output priority -100 policy drop",
        ),
        (
            "nat POSTROUTING",
            "{ type nat hook input priority 100; }",
            "has type nat hook input priority 100 policy accept",
        ),
        ("mangle PREROUTING", "", "has no hook"),
    ] {
        let host = Host::usual(Backend::IptablesNft);
        let request = request("", &mapping("tcp", 8080, 80));
        let (table, name) = chain.split_once(' ').unwrap();
        nft(&host, &format!("add table ip {table}"));
        nft(&host, &format!("add chain ip {chain} {hook}"));
        if table == "nat" {
            host.drifted(&request, &format!("found a chain that {found}"));
        }
        let said = host.fails(&host.call("ADD", &request), 100);
        let what = format!("chain {name} of table ip {table} {found}");
        assert!(said.contains(&what), "{what} in {said}");
        host.run("DEL", &request);
        let way_out = said.split('`').nth(1).unwrap();
        host.net.host.sh(["sh", "-c", way_out]);
        host.run("ADD", &request);
        host.run("CHECK", &request);
    }
}

/// What such a rule loads before it translates is no test, which some packets could fail.
#[test]
fn a_translation_by_nft_s_own_rule_is_seen_in_the_way() {
    for rule in ["dnat to 10.22.0.77:80", "redirect to :22"] {
        let host = Host::usual(Backend::IptablesNft);
        let request = request("", &mapping("tcp", 8080, 80));
        host.run("ADD", &request);
        nft(
            &host,
            &format!("insert rule ip nat PREROUTING tcp dport 8080 {rule}"),
        );
        host.drifted(&request, "before it");
        host.run("ADD", &request);
        host.run("CHECK", &request);
        let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
        let answer = tcp::exchange(host.net.client(), host.net.host.v4(8080));
        assert_eq!(answer.server(), Some("pod"), "{rule}: {answer:?}");
    }
}

#[test]
fn whatever_a_jump_tests_it_goes_with_the_attachment() {
    for verb in ["DEL", "GC"] {
        let host = Host::usual(Backend::IptablesNft);
        let request = request("", &mapping("tcp", 8080, 80));
        host.run("ADD", &request);
        let chain = own_chain(&host);
        nft(&host, "add chain ip nat elsewhere");
        for rule in [
            "insert rule ip nat CNI-HOSTPORT-DNAT numgen inc mod 2 == 0 jump",
            "add rule ip nat elsewhere ct mark set numgen inc mod 2 goto",
            "add rule ip nat OUTPUT meta cpu 0 jump",
        ] {
            nft(&host, &format!("{rule} {chain}"));
        }
        host.run(verb, if verb == "GC" { GC } else { &request });
        let left = host.net.host.sh(["nft", "list", "ruleset"]);
        assert!(!left.contains("CNI-DN-"), "{left}");
    }
}

/// DEL asks for jumps where ADD wrote them, and for all where the kernel counts others.
#[test]
fn del_finds_the_jumps_wherever_they_are() {
    let others: Vec<String> = (0..40).map(|n| mapping("tcp", 2000 + n, 80)).collect();
    let many = request("", &others.join(","));
    let both = [mapping("tcp", 8080, 80), mapping("udp", 8081, 81)].join(",");
    let mark = r#"-m comment --comment dnat_name:_\"net1\"_id:_\"cid-0001\""#.replace("\\", "");
    let led = |protocol: &str, port: u16, to: &str| {
        format!("-p {protocol} {mark} -m multiport --dports {port} -j {to}")
    };
    let changes = |chain: &str| {
        let (tcp, udp) = (led("tcp", 8080, chain), led("udp", 8081, chain));
        let nat = |command: String| format!("-t nat {command}");
        [
            vec![],
            vec![nat(format!("-A CNI-HOSTPORT-DNAT {tcp}"))],
            vec![nat(format!("-I PREROUTING -j {chain}"))],
            vec![nat(format!(
                "-R CNI-HOSTPORT-DNAT 1 {}",
                led("tcp", 8080, "RETURN")
            ))],
            vec![nat(format!(
                "-R CNI-HOSTPORT-DNAT 2 {}",
                led("udp", 8081, "RETURN")
            ))],
            vec![
                nat(format!("-D CNI-HOSTPORT-DNAT {tcp}")),
                nat(format!("-D CNI-HOSTPORT-DNAT {udp}")),
                nat(format!("-A CNI-HOSTPORT-DNAT {udp}")),
                nat(format!("-A CNI-HOSTPORT-DNAT {tcp}")),
            ],
        ]
    };
    for change in 0..changes("").len() {
        let host = Host::usual(Backend::IptablesNft);
        host.ok(&host.call("ADD", &many).env("CNI_CONTAINERID", "other"));
        let before = host.nat("iptables");
        let request = request("", &both);
        host.run("ADD", &request);
        let nat = host.nat("iptables");
        let jump = nat.lines().find(|line| line.contains("dports 8080"));
        let chain = jump.and_then(|line| line.rsplit(' ').next()).unwrap();
        for command in &changes(chain)[change] {
            host.iptables("iptables", command);
        }
        host.run("DEL", &request);
        assert_eq!(host.nat("iptables"), before, "{:?}", changes(chain)[change]);
    }
}

#[test]
fn what_the_kernel_keeps_is_reported_and_the_rest_goes() {
    let host = Host::usual(Backend::IptablesNft);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    let chain = own_chain(&host);
    // Only whoever made the map can take this out.
    nft(
        &host,
        "add map ip nat kept { type inet_service : verdict; }",
    );
    nft(
        &host,
        &format!("add element ip nat kept {{ 9 : jump {chain} }}"),
    );
    let other = request.replace("8080", "8081");
    for (verb, input) in [("DEL", request.as_str()), ("GC", GC)] {
        host.run("ADD", &request);
        host.ok(&host.call("ADD", &other).env("CNI_CONTAINERID", "other"));
        let said = host.fails(&host.call(verb, input), 100);
        assert!(
            said.contains(&format!("delete chain ip nat {chain}")),
            "{said}"
        );
    }
    let left = host.net.host.sh(["nft", "list", "ruleset"]);
    assert!(
        !left.contains("dnat to") && !left.contains("8081"),
        "{left}"
    );
    nft(&host, "delete map ip nat kept");
    host.run("DEL", &request);
    host.is_clean();
}

/// What was made on a node that had nothing: another ADD that came in between relies on it.
fn a_failed_add_leaves_what_others_may_have_come_to_need(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    let switch = "/proc/sys/net/ipv4/conf/veth0/route_localnet";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", switch];
    let inject = ["-e", "inject=write:error=EIO"];
    let call = host
        .call("ADD", &request)
        .under(&[&strace[..], &inject].concat());
    let said = host.fails(&call, 100);
    assert!(said.contains("route_localnet"), "{said}");
    host.is_clean();
    let nat = host.nat("iptables");
    for chain in ["PREROUTING", "OUTPUT"] {
        let jump = format!("-A {chain} -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT");
        assert!(nat.contains(&jump), "{nat}");
    }
    // What was there before the failed one is there again.
    host.run("ADD", &request);
    let before = host.state();
    let failed = host.call("ADD", &request.replace("8080", "8081"));
    host.net
        .host
        .set_sysctl("net.ipv4.conf.veth0.route_localnet", "0")
        .unwrap();
    host.fails(&failed.under(&[&strace[..], &inject].concat()), 100);
    assert_eq!(host.state(), before);
}

fn a_jump_goes_directly_before_the_rule_in_its_way(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    host.iptables("iptables", "-t nat -N KUBE-SERVICES");
    for chain in ["PREROUTING", "OUTPUT"] {
        for rule in [
            "-j KUBE-SERVICES",
            "-p udp -j ACCEPT",
            "-p tcp -m tcp --dport 8000:9000 -j RETURN",
            "-p tcp -m tcp --dport 8080 -j ACCEPT",
        ] {
            host.iptables("iptables", &format!("-t nat -A {chain} {rule}"));
        }
    }
    host.run("ADD", &request);
    host.run("CHECK", &request);
    let nat = host.nat("iptables");
    for chain in ["PREROUTING", "OUTPUT"] {
        let start = format!("-A {chain} ");
        let rules: Vec<&str> = nat
            .lines()
            .filter(|line| line.starts_with(&start))
            .collect();
        let ours = rules
            .iter()
            .position(|rule| rule.ends_with("CNI-HOSTPORT-DNAT"));
        assert_eq!((ours, rules.len()), (Some(2), 5), "{nat}");
        assert!(rules[0].ends_with("KUBE-SERVICES"), "{nat}");
    }
    host.run("ADD", &request);
    assert_eq!(host.nat("iptables"), nat);
    // What is in the way may say so by what it leaves out.
    for rule in [
        "-p tcp -m tcp ! --dport 22 -j RETURN",
        "-p tcp -m multiport ! --dports 22,443 -j ACCEPT",
        "! -p udp -j ACCEPT",
        "-p tcp -m multiport --dports 22,8000:9000 -j ACCEPT",
        "-m conntrack --ctstate NEW -j ACCEPT",
    ] {
        for base in ["iptables", "ip6tables"] {
            for chain in ["PREROUTING", "OUTPUT"] {
                host.iptables(base, &format!("-t nat -F {chain}"));
                host.iptables(base, &format!("-t nat -A {chain} {rule}"));
            }
        }
        host.drifted(&request, "before it");
        host.run("ADD", &request);
        host.run("CHECK", &request);
    }
}

/// Jumps to other attachments are not taken apart, and do not count among the rules that are.
fn a_chain_of_others_behind_many_jumps_is_seen_in_the_way(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    for chain in ["TAKES", "CNI-DN-0"] {
        host.iptables("iptables", &format!("-t nat -N {chain}"));
    }
    host.iptables("iptables", "-t nat -A TAKES -j ACCEPT");
    host.iptables("iptables", "-t nat -I CNI-HOSTPORT-DNAT -p tcp -j TAKES");
    for port in 2000..2040 {
        let rule = format!("-p tcp -m multiport --dports {port} -j CNI-DN-0");
        host.iptables("iptables", &format!("-t nat -I CNI-HOSTPORT-DNAT {rule}"));
    }
    host.drifted(&request, "-p tcp -j TAKES");
    host.run("ADD", &request);
    host.run("CHECK", &request);
}
