//! CHECK sees every change to what ADD made, and ADD puts it right.

use super::node::{Backend, Host, mapping, on_both_variants, request};

on_both_variants!(
    check_sees_every_drift_and_add_repairs_it,
    a_new_attachment_repairs_what_all_share,
    a_chain_that_lets_packets_back_is_no_drift,
    conditions_that_differ_are_a_drift
);

/// The attachment's chain.
const OWN: &str = "CNI-DN-e3b332d931428973f7ef7";
/// The owner's mark; `_` stands for a blank.
const MARK: &str = "dnat_name:_\"net1\"_id:_\"cid-0001\"";

fn mappings() -> String {
    [mapping("tcp", 8080, 80), mapping("udp", 8081, 81)].join(",")
}

/// A new attachment finds nothing of its own, and must not take the rest for granted.
fn a_new_attachment_repairs_what_all_share(backend: Backend) {
    let host = Host::usual(backend);
    host.run("ADD", &request("", &mapping("tcp", 8080, 80)));
    let other = request("", &mapping("tcp", 8081, 80));
    let call = |verb| host.call(verb, &other).env("CNI_CONTAINERID", "cid-0002");
    for (base, damage) in [
        ("iptables", "-t nat -F PREROUTING"),
        ("iptables", "-t nat -F POSTROUTING"),
        ("iptables", "-t nat -F CNI-HOSTPORT-MASQ"),
        ("iptables", "-t nat -I CNI-HOSTPORT-SETMARK -j RETURN"),
        ("iptables", "-t mangle -F PREROUTING"),
        ("iptables", "-t mangle -F CNI-HOSTPORT-GUARD"),
        ("ip6tables", "-t nat -F OUTPUT"),
        ("iptables", "-t nat -N OTHER"),
        (
            "iptables",
            "-t nat -A OTHER -m statistic --mode random --probability 0.5 -j ACCEPT",
        ),
        ("iptables", "-t nat -I OUTPUT -j OTHER"),
        ("iptables", "-t nat -A OTHER -j ACCEPT"),
    ] {
        host.iptables(base, damage);
        host.ok(&call("ADD"));
        host.ok(&call("CHECK"));
        host.ok(&call("DEL"));
    }
}

/// As those of Docker and kube-proxy do: ours stay behind them.
fn a_chain_that_lets_packets_back_is_no_drift(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mappings());
    host.run("ADD", &request);
    for command in [
        "-N DOCKER",
        "-A DOCKER -i docker0 -j RETURN",
        "-A DOCKER -j ACCEPT",
        "-I PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-N KUBE-SERVICES",
        "-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-I PREROUTING -j KUBE-SERVICES",
        "-I OUTPUT -j KUBE-SERVICES",
    ] {
        host.iptables("iptables", &format!("-t nat {command}"));
    }
    let before = host.state();
    host.run("CHECK", &request);
    host.run("ADD", &request);
    assert_eq!(host.state(), before);
}

/// What is done, in commands separated by `;`, and what CHECK must name.
fn drifts() -> Vec<(String, &'static str)> {
    let jump = format!("-p tcp -m comment --comment {MARK} -m multiport");
    let of = |text: &str| text.replace("OWN", OWN).replace("JUMP", &jump);
    [
        ("-t nat -F OWN", "rule 1 of chain"),
        ("-t nat -D OWN 1", "rule 1 of chain"),
        ("-t nat -D OWN 3", "rule 3 of chain"),
        ("-t nat -D OWN 6", "no rule"),
        ("-t nat -A OWN -j RETURN", "rule 7 of chain"),
        ("-t nat -I OWN -j RETURN", "rule 1 of chain"),
        ("-t nat -R OWN 3 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.9:80", "10.22.0.9:80"),
        ("-t nat -R OWN 3 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.2:81", "10.22.0.2:81"),
        ("-t nat -R OWN 3 -p tcp -m tcp --dport 8079 -j DNAT --to-destination 10.22.0.2:80", "--dport 8079"),
        ("-t nat -R OWN 3 -s 10.0.0.1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.22.0.2:80", "-s 10.0.0.1"),
        ("-t nat -R OWN 1 -s 10.23.0.0/16 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK", "10.23.0.0/16"),
        ("-t nat -D OWN 2; -t nat -A OWN -s 127.0.0.1 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK", "rule 2 of chain"),
        ("-t nat -D CNI-HOSTPORT-DNAT 1", "no such rule"),
        ("-t nat -D CNI-HOSTPORT-DNAT 2", "no such rule"),
        ("-t nat -F CNI-HOSTPORT-DNAT", "no such rule"),
        ("-t nat -R CNI-HOSTPORT-DNAT 1 JUMP --dports 9090 -j OWN", "--dports 9090"),
        ("-t nat -R CNI-HOSTPORT-DNAT 1 JUMP --dports 8080 -j RETURN", "no such rule"),
        ("-t nat -A CNI-HOSTPORT-DNAT -p tcp -j OWN", "expected no such rule"),
        ("-t nat -F PREROUTING", "chain PREROUTING"),
        ("-t nat -F OUTPUT", "chain OUTPUT"),
        ("-t nat -F POSTROUTING", "chain POSTROUTING"),
        ("-t nat -R PREROUTING 1 -i out0 -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT", "chain PREROUTING"),
        ("-t nat -F CNI-HOSTPORT-SETMARK", "chain CNI-HOSTPORT-SETMARK"),
        ("-t nat -R CNI-HOSTPORT-SETMARK 1 -j MARK --set-xmark 0x2000/0x2000", "chain CNI-HOSTPORT-SETMARK"),
        ("-t nat -R CNI-HOSTPORT-SETMARK 1 -m comment --comment CNI_portfwd_masquerade_mark -j MARK --set-xmark 0x4000/0x4000", "CNI-HOSTPORT-SETMARK"),
        ("-t nat -F CNI-HOSTPORT-MASQ", "chain CNI-HOSTPORT-MASQ"),
        ("-t nat -R CNI-HOSTPORT-MASQ 1 -m mark --mark 0x4000/0x4000 -j MASQUERADE", "chain CNI-HOSTPORT-MASQ"),
        ("-t mangle -F PREROUTING", "chain PREROUTING of table mangle"),
        ("-t mangle -D PREROUTING -s 127.0.0.0/8 ! -i lo -j CNI-HOSTPORT-GUARD", "-s 127.0.0.0/8 ! -i lo"),
        ("-t mangle -F CNI-HOSTPORT-GUARD", "chain CNI-HOSTPORT-GUARD"),
        ("-t mangle -I CNI-HOSTPORT-GUARD -j RETURN", "-j RETURN before it"),
        ("-t nat -I CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8080 -j RETURN", "before those to"),
        ("-t nat -I CNI-HOSTPORT-DNAT -p udp -m multiport --dports 53,8081 -j DNAT --to-destination 10.22.0.9:1", "before those to"),
        ("-t nat -I PREROUTING -p tcp -m tcp --dport 8080 -j ACCEPT", "before it"),
        ("-t nat -I OUTPUT -j RETURN", "before it"),
        ("-t nat -I POSTROUTING -j ACCEPT", "before it"),
        ("-t nat -I CNI-HOSTPORT-SETMARK -j RETURN", "before it"),
        ("-t nat -I CNI-HOSTPORT-MASQ -j ACCEPT", "before it"),
        ("-t nat -A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x0/0x2000", "after it"),
        ("-t nat -N ELSEWHERE; -t nat -I PREROUTING -m addrtype --dst-type LOCAL -g ELSEWHERE", "-g ELSEWHERE before it"),
        ("-t nat -I CNI-HOSTPORT-DNAT -g ELSEWHERE", "before those to"),
        ("-t nat -N OTHER; -t nat -A OTHER -j ACCEPT; -t nat -I PREROUTING -j OTHER", "-j OTHER before it"),
        ("-t nat -N DEEPER; -t nat -A DEEPER -p udp -j RETURN; -t nat -I OUTPUT -g DEEPER", "-g DEEPER before it"),
        ("-t nat -F DEEPER; -t nat -A DEEPER -j OTHER; -t nat -I OUTPUT -p tcp -m tcp --dport 8080 -j DEEPER", "-j DEEPER before it"),
        ("-t nat -I POSTROUTING -j DEEPER", "-j DEEPER before it"),
        ("-t nat -I CNI-HOSTPORT-DNAT -p tcp -j DEEPER", "before those to"),
        ("-t mangle -N TAKES; -t mangle -A TAKES -j ACCEPT; -t mangle -I PREROUTING -j TAKES", "-j TAKES before it"),
        ("-t mangle -F PREROUTING", "chain PREROUTING of table mangle"),
        ("-t nat -F; -t nat -X", "chain OWN of table nat"),
    ]
    .into_iter()
    .map(|(commands, named)| (of(commands), named))
    .collect()
}

fn check_sees_every_drift_and_add_repairs_it(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &mappings());
    host.run("ADD", &request);
    host.run("CHECK", &request);
    for (commands, named) in drifts() {
        commands
            .split("; ")
            .for_each(|command| host.iptables("iptables", command));
        let named = named.replace("OWN", OWN);
        let said = host
            .call("CHECK", &request)
            .run(&host.net.host)
            .unwrap()
            .stdout;
        assert!(
            said.contains("\"code\": 101,") && said.contains(&named),
            "{commands}: {named} in {said}"
        );
        host.run("ADD", &request);
        host.run("CHECK", &request);
        // What was put in the way stays there, behind the rules that were put right.
        host.iptables("iptables", "-t nat -F PREROUTING");
        host.iptables("iptables", "-t nat -F OUTPUT");
        host.iptables("iptables", "-t nat -F POSTROUTING");
        host.iptables("iptables", "-t nat -F CNI-HOSTPORT-SETMARK");
        host.iptables("iptables", "-t nat -F CNI-HOSTPORT-MASQ");
        host.run("ADD", &request);
    }
    for command in [
        format!("-t nat -F {OWN}"),
        format!("-t nat -D {OWN} 2"),
        "-t nat -D CNI-HOSTPORT-DNAT 1".into(),
        "-t nat -F PREROUTING".into(),
        "-t nat -F OUTPUT".into(),
        "-t nat -F POSTROUTING".into(),
        "-t nat -F CNI-HOSTPORT-SETMARK".into(),
        "-t nat -F CNI-HOSTPORT-MASQ".into(),
    ] {
        host.iptables("ip6tables", &command);
        host.drifted(&request, "IPv6");
        host.run("ADD", &request);
        host.run("CHECK", &request);
    }
    host.net
        .host
        .set_sysctl("net.ipv4.conf.veth0.route_localnet", "0")
        .unwrap();
    host.drifted(&request, "route_localnet of veth0: expected 1, found 0");
    host.run("ADD", &request);
    host.run("CHECK", &request);
}

fn conditions_that_differ_are_a_drift(backend: Backend) {
    let host = Host::usual(backend);
    let conditions = |value: &str| {
        let options = format!(
            r#""conditionsV4":["-s","10.99.0.9/24","-m","tcp","--syn"],"conditionsV6":["!","-s","{value}"],"#
        );
        request(&options, &mapping("tcp", 8080, 80))
    };
    let plain = request("", &mapping("tcp", 8080, 80));
    for spelled in ["fd98::/64", "FD98:0::1/64"] {
        let request = conditions(spelled);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        let other = "-t nat -R CNI-HOSTPORT-DNAT 1 ! -s fd97::/64 -p tcp -m comment --comment dnat_name:_\"net1\"_id:_\"cid-0001\" -m multiport --dports 8080 -j CNI-DN-e3b332d931428973f7ef7";
        host.iptables("ip6tables", other);
        host.drifted(&request, "conditions of the rules");
        host.run("ADD", &request);
        host.run("CHECK", &request);
        host.fails(&host.call("CHECK", &conditions("fd97::/64")), 101);
        host.fails(&host.call("CHECK", &plain), 101);
        host.run("DEL", &request);
        host.is_clean();
    }
}

/// Before the jump that leads to ours: a command of nft, and what CHECK says of it.
const BY_NFT: [(&str, Said); 11] = [
    (
        "insert rule ip nat PREROUTING fib daddr type local accept",
        Said::Drift("-m addrtype --dst-type LOCAL -j ACCEPT before it"),
    ),
    (
        "insert rule ip nat OUTPUT meta mark set 7 tcp dport 8080 accept",
        Said::Drift("-j ACCEPT before it"),
    ),
    (
        "insert rule ip nat PREROUTING log accept",
        Said::Drift("-j ACCEPT before it"),
    ),
    (
        "insert rule ip nat POSTROUTING meta mark set 0",
        Said::Drift("-j MARK --set-xmark 0x0/0xffffffff before it"),
    ),
    (
        "insert rule ip nat POSTROUTING meta mark set mark and 0xffffdfff",
        Said::Drift("-j MARK --set-xmark 0x0/0x2000 before it"),
    ),
    (
        "insert rule ip nat POSTROUTING meta mark set mark and 0xffffbfff",
        Said::Nothing,
    ),
    (
        "insert rule ip nat PREROUTING tcp dport vmap { 8080 : accept }",
        Said::Warning,
    ),
    (
        "insert rule ip nat OUTPUT tcp dport { 8080, 9090 } return",
        Said::Warning,
    ),
    (
        "insert rule ip nat PREROUTING ip saddr { 192.0.2.1, 192.0.2.7 } drop",
        Said::Warning,
    ),
    (
        "insert rule ip nat PREROUTING tcp dport 9090 ip saddr { 192.0.2.1, 192.0.2.7 } drop",
        Said::Nothing,
    ),
    (
        "insert rule ip nat PREROUTING ip saddr { 192.0.2.1, 192.0.2.7 } counter",
        Said::Nothing,
    ),
];

enum Said {
    Drift(&'static str),
    Warning,
    Nothing,
}

#[test]
fn rules_of_nft_before_ours_are_judged_or_named() {
    let request = request("", &mapping("tcp", 8080, 80));
    for (command, said) in BY_NFT {
        let host = Host::usual(Backend::IptablesNft);
        host.run("ADD", &request);
        host.net.host.sh(["nft", command]);
        let warns = |stderr: &str| stderr.contains("a rule before ours may take packets");
        let call = host.call("CHECK", &request);
        let check = call.run(&host.net.host).unwrap();
        match said {
            Said::Drift(named) => {
                let is_named = check.stdout.contains(named);
                assert!(check.code == Some(1) && is_named, "{command:?} {check:?}");
                host.run("ADD", &request);
                let check = host.run("CHECK", &request);
                assert!(!warns(&check.stderr), "{command:?} {check:?}");
            }
            Said::Warning => {
                assert!(
                    check.code == Some(0) && warns(&check.stderr),
                    "{command:?} {check:?}"
                );
                // It may be a list of blocked sources: ours stay behind it.
                let add = host.run("ADD", &request);
                assert!(warns(&add.stderr), "{command:?} {add:?}");
                assert!(warns(&host.run("CHECK", &request).stderr), "{command:?}");
            }
            Said::Nothing => {
                assert!(
                    check.code == Some(0) && !warns(&check.stderr),
                    "{command:?} {check:?}"
                );
            }
        }
    }
}

/// Beginnings of chains as Docker, kube-proxy, Calico, Cilium and firewalld make them.
#[test]
fn usual_rules_of_others_are_no_reason_for_a_warning() {
    let request = request("", &mapping("tcp", 8080, 80));
    let host = Host::usual(Backend::IptablesNft);
    for chain in [
        "KUBE-SERVICES",
        "KUBE-MARK-MASQ",
        "cali-PREROUTING",
        "CILIUM-PRE-nat",
        "DOCKER",
    ] {
        host.iptables("iptables", &format!("-t nat -N {chain}"));
    }
    for rule in [
        "PREROUTING -m comment --comment kubernetes_service_portals -j KUBE-SERVICES",
        "PREROUTING -m comment --comment cali:6gwbT8clXdHdC1b1 -j cali-PREROUTING",
        "PREROUTING -m comment --comment cilium-feeder:_CILIUM-PRE-nat -j CILIUM-PRE-nat",
        "PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        "DOCKER -i docker0 -j RETURN",
        "DOCKER ! -i docker0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 172.17.0.2:80",
        "KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        "KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-MARK-MASQ",
        "KUBE-SERVICES -m statistic --mode random --probability 0.5 -j KUBE-MARK-MASQ",
        "POSTROUTING -j MARK --set-xmark 0x0/0x4000",
    ] {
        host.iptables("iptables", &format!("-t nat -A {rule}"));
    }
    host.net.host.sh(["nft", "table inet firewalld { chain nat_PREROUTING { type nat hook prerouting priority -90; fib daddr type local counter; }; }"]);
    for verb in ["ADD", "CHECK"] {
        let answer = host.run(verb, &request);
        assert!(!answer.stderr.contains("warn"), "{verb} {answer:?}");
    }
}
