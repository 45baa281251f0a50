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
    tested.does("ADD", &net.host);
    tested.does("CHECK", &net.host);
    plain.does("ADD", &net.host);
    plain.does("CHECK", &net.host);
    assert_eq!(contents(&net.host), elements);
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
