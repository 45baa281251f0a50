//! Conditions: each attachment has its own, written by nft, and nothing but tests.

use sandbox::probe::tcp;
use serde_json::json;

use super::{Pod, contents, host_with, nft, owned, ruleset};

fn conditional(pod: Pod, port: u16, v4: &[&str], v6: &[&str]) -> Pod {
    pod.mapping(json!([{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]))
        .with("conditionsV4", json!(v4))
        .with("conditionsV6", json!(v6))
}

#[test]
fn one_attachment_s_conditions_do_not_touch_another() {
    let net = host_with(3);
    let (host, client) = (&net.host, net.client());
    let _servers: Vec<_> = (0..3)
        .map(|n| tcp::Server::start(&net.containers[n], 80, &format!("pod {n}")).unwrap())
        .collect();
    let (us, them) = (
        ["ip", "saddr", "10.99.0.2"],
        ["ip", "saddr", "203.0.113.0/24"],
    );
    let (us6, them6) = (
        ["ip6", "saddr", "fd99::2"],
        ["ip6", "saddr", "2001:db8::/32"],
    );
    let allowed = conditional(Pod::new(&net, 0), 1001, &us, &us6);
    let refused = conditional(Pod::new(&net, 1), 1002, &them, &them6);
    let free = conditional(Pod::new(&net, 2), 1003, &[], &[]);
    for pod in [&allowed, &refused, &free] {
        pod.does("ADD", host);
    }
    for pod in [&allowed, &refused, &free] {
        pod.does("CHECK", host);
    }
    let answers = || {
        [1001, 1002, 1003].map(|port| {
            host.both(port)
                .map(|to| tcp::exchange(client, to).server().map(str::to_owned))
        })
    };
    let pod = |n| Some(format!("pod {n}"));
    let none = || [None, None];
    assert_eq!(answers(), [[pod(0), pod(0)], none(), [pod(2), pod(2)]]);
    allowed.does("DEL", host);
    assert_eq!(answers(), [none(), none(), [pod(2), pod(2)]]);
    assert!(owned(host, &allowed.owner()).is_empty());
    refused.does("CHECK", host);
    refused.does("DEL", host);
    assert!(!ruleset(host).contains("attachment-"));
}

#[test]
fn conditions_that_are_more_than_tests_are_refused_and_nothing_stays() {
    let net = host_with(1);
    for words in [
        vec!["ip saddr 1.2.3.4 accept; add table ip pwned"],
        vec!["ip", "saddr", "1.2.3.4", "accept"],
        vec!["ip", "saddr", "1.2.3.4", "#"],
        vec!["}", "add"],
        vec!["no", "such", "test"],
        vec!["ip6", "saddr", "::1"],
    ] {
        let pod = conditional(Pod::new(&net, 0), 1001, &words, &[]);
        pod.fails("ADD", &net.host, 7);
        assert!(!ruleset(&net.host).contains("pwned"), "{words:?}");
        assert!(owned(&net.host, &pod.owner()).is_empty(), "{words:?}");
        assert!(!ruleset(&net.host).contains("attachment-"), "{words:?}");
    }
}

/// What a packet must not set off, whoever sends it. Each alone, as one text, and behind a test.
const ACTIONS: [&str; 39] = [
    "delete @hostports { meta l4proto . th dport : 10.22.0.2 . 80 }",
    "add @hostports { meta l4proto . th dport : 10.22.0.2 . 80 }",
    "update @attachments { iifname }",
    "add @own { ip saddr }",
    "meter m { ip saddr limit rate 1/second }",
    "limit rate 1/second",
    "quota over 1 mbytes",
    "ct count over 3",
    "counter",
    "log",
    "log group 1",
    "numgen inc mod 2 == 0",
    "meta mark set 1",
    "meta nftrace set 1",
    "meta priority set 1:1",
    "ct mark set 1",
    "ct label set 1",
    "ct zone set 1",
    "ip dscp set 1",
    "ip ttl set 9",
    "@nh,96,32 set 0x0a160003",
    "@th,16,16 set 99",
    "reset tcp option sack-perm",
    "tcp option maxseg size set 1000",
    "notrack",
    "queue num 1",
    "dup to 192.0.2.1",
    "fwd to lo",
    "tproxy to :1",
    "synproxy mss 1460",
    "flow add @f",
    "dnat to 192.0.2.1",
    "redirect to :1",
    "masquerade",
    "goto hostports",
    "return",
    "ip saddr vmap { 192.0.2.1 : accept }",
    "ip saddr { 192.0.2.1 limit rate 1/second, 192.0.2.2 }",
    "ip saddr { 192.0.2.1 counter, 192.0.2.4-192.0.2.7 counter }",
];

#[test]
fn conditions_that_do_something_are_refused_by_name_and_nothing_stays() {
    let net = host_with(2);
    let victim = Pod::new(&net, 1);
    victim.does("ADD", &net.host);
    let before = contents(&net.host);
    for action in ACTIONS {
        for words in [vec![action], vec!["udp", "dport", "9999", action]] {
            let pod = conditional(Pod::new(&net, 0), 1001, &words, &[]);
            let told = pod.fails("ADD", &net.host, 7);
            assert!(told.contains("conditionsV4"), "{told}");
            pod.fails("CHECK", &net.host, 7);
            assert_eq!(contents(&net.host), before, "{words:?}");
        }
    }
}

#[test]
fn words_that_give_no_rule_or_another_one_are_refused() {
    let net = host_with(1);
    for words in [
        vec!["-h"],
        vec!["-V"],
        vec!["--check"],
        vec!["ip", "saddr", "192.0.2.1", "-f", "/dev/null"],
        vec!["ip saddr 192.0.2.1 jump conditions"],
        vec!["ip saddr 192.0.2.1\nadd table ip pwned"],
        vec!["include", "\"/dev/zero\""],
        vec!["handle", "1"],
        vec!["index", "0"],
        vec!["{", "ip", "saddr", "192.0.2.1", "}"],
        vec!["ip", "saddr", "@attachments"],
        vec!["ip", "saddr", "$x"],
    ] {
        let pod = conditional(Pod::new(&net, 0), 1001, &words, &[]);
        pod.fails("ADD", &net.host, 7);
        assert!(contents(&net.host).is_empty(), "{words:?}");
    }
}

#[test]
fn lists_intervals_and_interfaces_by_number_are_served_checked_and_removed() {
    let net = host_with(1);
    let (host, client) = (&net.host, net.client());
    let _server = tcp::Server::start(&net.containers[0], 80, "pod").unwrap();
    let out = host.sh(["ip", "-o", "route", "get", "10.99.0.2"]);
    let out = out
        .split(" dev ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    for (words, is_met) in [
        ("ip saddr { 10.99.0.2, 192.0.2.1 }".to_owned(), true),
        ("ip saddr { 192.0.2.1, 192.0.2.7 }".to_owned(), false),
        (
            "ip saddr { 10.0.0.0-10.99.0.3, 192.0.2.1 }".to_owned(),
            true,
        ),
        (
            "ip saddr { 10.0.0.0-10.99.0.1, 10.99.0.3-10.100.0.0 }".to_owned(),
            false,
        ),
        (
            "ip saddr != { 192.0.2.1, 192.0.2.3 } tcp dport { 1, 1001 }".to_owned(),
            true,
        ),
        (
            "ip saddr . tcp dport { 10.99.0.2 . 1000-1002 }".to_owned(),
            true,
        ),
        (
            "ip saddr . tcp dport { 10.99.0.2 . 1-1000 }".to_owned(),
            false,
        ),
        (
            "ip saddr { 10.99.0.2 comment \"x\", 192.0.2.1 }".to_owned(),
            true,
        ),
        ("@nh,96,32 0x0a630002 ct state new".to_owned(), true),
        (format!("iif {out} tcp flags syn"), true),
        (format!("iif != {out}"), false),
        (
            "meta mark & 0xff == 0 jhash ip saddr mod 1 == 0".to_owned(),
            true,
        ),
    ] {
        let text: Vec<&str> = words.split(' ').collect();
        let pod = conditional(Pod::new(&net, 0), 1001, &text, &[]);
        pod.does("ADD", host);
        pod.does("CHECK", host);
        let first = contents(host);
        pod.does("ADD", host);
        assert_eq!(contents(host), first, "{words}");
        let answer = tcp::exchange(client, host.v4(1001));
        assert_eq!(answer.server().is_some(), is_met, "{words}");
        let other = conditional(
            Pod::new(&net, 0),
            1001,
            &["ip", "saddr", "{ 10.99.0.2, 10.99.0.9 }"],
            &[],
        );
        other.fails("CHECK", host, 101);
        pod.does("DEL", host);
        assert!(!ruleset(host).contains("attachment-"), "{words}");
        assert!(owned(host, &pod.owner()).is_empty(), "{words}");
    }
}

#[test]
fn check_sees_a_changed_or_missing_condition_and_add_makes_up_for_it() {
    let net = host_with(1);
    let pod = conditional(Pod::new(&net, 0), 1001, &["ip", "saddr", "10.99.0.2"], &[]);
    pod.does("ADD", &net.host);
    let sound = contents(&net.host);
    let text = ruleset(&net.host);
    let chain = text
        .split_whitespace()
        .find(|word| word.starts_with("attachment-"))
        .unwrap();
    let owner = pod.owner();
    for script in [
        "flush chain ip cni_portmap conditions".to_owned(),
        format!("flush chain ip cni_portmap {chain}"),
        format!("insert rule ip cni_portmap {chain} accept"),
        format!(
            "flush chain ip cni_portmap conditions
             add rule ip cni_portmap conditions ip saddr 10.99.0.3 jump {chain} comment \"{owner}\""
        ),
        format!("flush chain ip cni_portmap conditions\ndelete chain ip cni_portmap {chain}"),
        format!(
            "add rule ip cni_portmap conditions ip saddr 10.99.0.2 jump {chain} comment \"{owner}\""
        ),
    ] {
        nft(&net.host, &script);
        pod.fails("CHECK", &net.host, 101);
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        assert_eq!(contents(&net.host), sound, "{script}");
    }
}

#[test]
fn conditions_that_come_or_go_change_elements_into_rules_and_back() {
    let net = host_with(1);
    let plain = conditional(Pod::new(&net, 0), 1001, &[], &[]);
    let tested = conditional(Pod::new(&net, 0), 1001, &["ip", "saddr", "10.99.0.2"], &[]);
    plain.does("ADD", &net.host);
    let elements = contents(&net.host);
    tested.does("DEL", &net.host);
    tested.does("ADD", &net.host);
    tested.does("CHECK", &net.host);
    plain.does("DEL", &net.host);
    plain.does("ADD", &net.host);
    plain.does("CHECK", &net.host);
    assert_eq!(contents(&net.host), elements);
    tested.does("DEL", &net.host);
    tested.does("ADD", &net.host);
    plain.mapping(json!([])).does("DEL", &net.host);
    assert!(!ruleset(&net.host).contains("attachment-"));
}

#[test]
fn gc_removes_the_rules_of_dead_attachments() {
    let net = host_with(2);
    let dead = conditional(Pod::new(&net, 0), 1001, &["ip", "saddr", "10.99.0.2"], &[]);
    let alive = conditional(Pod::new(&net, 1), 1002, &["ip", "saddr", "10.99.0.2"], &[]);
    dead.does("ADD", &net.host);
    alive.does("ADD", &net.host);
    let mut request = alive.request();
    request["cni.dev/valid-attachments"] = json!([{"containerID": alive.id, "ifname": "eth0"}]);
    let answer = alive.prepared("GC", &request).run(&net.host).unwrap();
    assert_eq!(answer.code, Some(0), "{}", answer.stdout);
    alive.does("CHECK", &net.host);
    assert!(owned(&net.host, &dead.owner()).is_empty());
    assert_eq!(ruleset(&net.host).matches("jump attachment-").count(), 1);
}
