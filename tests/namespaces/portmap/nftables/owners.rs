//! Whose a host port is: the newest attachment's, and nobody else touches it.

use std::time::Duration;

use sandbox::wait::wait_until;
use serde_json::json;

use super::{Pod, contents, host_with, owned, refused};

pub fn port(number: u16) -> serde_json::Value {
    json!([{"hostPort": number, "containerPort": 80, "protocol": "tcp"}])
}

/// The elements by which an attachment's ports are served, in all sets.
fn ports_of(net: &sandbox::topology::Net, pod: &Pod) -> usize {
    let lines = owned(&net.host, &pod.owner());
    let ports = lines
        .iter()
        .filter(|line| !line.contains("\"attachments\"") && !line.contains("\"shadowed"));
    ports.count()
}

#[test]
fn the_newest_gets_the_port_and_the_older_s_check_says_so() {
    let net = host_with(2);
    let old = Pod::new(&net, 0).mapping(port(8080));
    let new = Pod::new(&net, 1).mapping(port(8080));
    old.does("ADD", &net.host);
    new.does("ADD", &net.host);
    new.does("CHECK", &net.host);
    assert_eq!(ports_of(&net, &old), 0);
    let told = old.fails("CHECK", &net.host, 101);
    assert!(told.contains(&new.owner()), "{told}");
    old.does("DEL", &net.host);
    new.does("CHECK", &net.host);
    new.does("DEL", &net.host);
    let told = old.fails("CHECK", &net.host, 101);
    assert!(told.contains("no element"), "{told}");
    assert!(owned(&net.host, &old.owner()).is_empty());
}

#[test]
fn what_is_masqueraded_changes_hands_with_the_port() {
    let net = host_with(2);
    let old = Pod::new(&net, 0).mapping(port(8080));
    let mut new = Pod::new(&net, 1)
        .mapping(port(8080))
        .with("snat", json!(false));
    new.v4 = "10.22.0.3/24".into();
    old.does("ADD", &net.host);
    new.does("ADD", &net.host);
    assert_eq!(ports_of(&net, &old), 0);
    assert_eq!(ports_of(&net, &new), 2);
}

#[test]
fn on_conflict_error_names_the_owner_and_changes_nothing() {
    let net = host_with(2);
    let old = Pod::new(&net, 0).mapping(port(8080));
    let new = Pod::new(&net, 1)
        .mapping(json!([
            {"hostPort": 9999, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}
        ]))
        .with("onConflict", json!("error"));
    old.does("ADD", &net.host);
    let before = contents(&net.host);
    let told = new.fails("ADD", &net.host, 102);
    assert!(
        told.contains("8080/tcp") && told.contains(&old.owner()),
        "{told}"
    );
    assert_eq!(contents(&net.host), before);
    let again = old.with("onConflict", json!("error"));
    again.does("ADD", &net.host);
}

#[test]
fn add_twice_is_add_once() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    let once = contents(&net.host);
    pod.does("ADD", &net.host);
    assert_eq!(contents(&net.host), once);
}

#[test]
fn an_add_with_other_ports_or_another_address_replaces_the_first() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    let mut changed = pod.clone().mapping(json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 7000, "containerPort": 80, "protocol": "tcp"}
    ]));
    changed.v4 = "10.22.0.77/16".into();
    changed.does("ADD", &net.host);
    changed.does("CHECK", &net.host);
    let lines = owned(&net.host, &pod.owner()).join("\n");
    assert!(
        !lines.contains("8081") && !lines.contains("10.22.0.2\""),
        "{lines}"
    );
    changed.does("DEL", &net.host);
    assert!(owned(&net.host, &pod.owner()).is_empty());
}

#[test]
fn an_add_with_other_ports_only_or_without_a_family_leaves_nothing_of_the_first() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("ADD", &net.host);
    let moved = pod.clone().mapping(json!([
        {"hostPort": 7000, "containerPort": 80, "protocol": "tcp", "hostIP": "10.99.0.1"}
    ]));
    moved.does("ADD", &net.host);
    moved.does("CHECK", &net.host);
    // The map, hairpin and localhost.
    assert_eq!(ports_of(&net, &moved), 3);
    assert_eq!(owned(&net.host, &pod.owner()).len(), 4);
    pod.mapping(json!([])).does("DEL", &net.host);
    assert!(owned(&net.host, &moved.owner()).is_empty());
}

#[test]
fn del_without_mappings_or_with_others_removes_everything() {
    let net = host_with(2);
    let keeper = Pod::new(&net, 1).mapping(port(9090));
    keeper.does("ADD", &net.host);
    let before = owned(&net.host, &keeper.owner());
    let pod = Pod::new(&net, 0);
    for mappings in [json!(null), json!([]), port(5), port(9090), port(8080)] {
        pod.does("ADD", &net.host);
        assert!(!owned(&net.host, &pod.owner()).is_empty());
        pod.clone().mapping(mappings).does("DEL", &net.host);
        assert!(owned(&net.host, &pod.owner()).is_empty());
        pod.does("DEL", &net.host);
    }
    assert_eq!(owned(&net.host, &keeper.owner()), before);
    keeper.does("CHECK", &net.host);
}

#[test]
fn interfaces_and_networks_of_one_container_do_not_disturb_each_other() {
    let net = host_with(1);
    let eth0 = Pod::new(&net, 0).mapping(port(8080));
    let mut eth1 = eth0.clone().mapping(port(8081));
    eth1.ifname = "eth1".into();
    let mut other = eth0.clone().mapping(port(8082));
    other.network = "net2".into();
    for pod in [&eth0, &eth1, &other] {
        pod.does("ADD", &net.host);
    }
    eth0.clone().mapping(json!([])).does("DEL", &net.host);
    eth1.does("CHECK", &net.host);
    other.does("CHECK", &net.host);
    other.does("DEL", &net.host);
    eth1.does("CHECK", &net.host);
}

#[test]
fn gc_removes_dead_attachments_of_its_own_network_only() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let alive = pod.clone().mapping(port(1)).id("alive");
    let dead = pod.clone().mapping(port(2)).id("dead");
    let mut foreign = pod.clone().mapping(port(3)).id("dead");
    foreign.network = "net1-other".into();
    for pod in [&alive, &dead, &foreign] {
        pod.does("ADD", &net.host);
    }
    let mut request = pod.request();
    request["cni.dev/valid-attachments"] = json!([{"containerID": "alive", "ifname": "eth0"}]);
    let gc = || pod.prepared("GC", &request).run(&net.host).unwrap();
    assert_eq!(gc().code, Some(0));
    alive.does("CHECK", &net.host);
    foreign.does("CHECK", &net.host);
    assert!(owned(&net.host, &dead.owner()).is_empty());
    let after = contents(&net.host);
    assert_eq!(gc().code, Some(0));
    assert_eq!(contents(&net.host), after);
}

/// While GC is about to commit what it has decided, somebody else comes: GC has to look again, and
/// still removes nobody but those who were dead when it began.
#[test]
fn who_is_added_while_gc_runs_lives() {
    let net = host_with(2);
    let dead = Pod::new(&net, 0).mapping(port(1)).id("dead");
    let new = Pod::new(&net, 1).mapping(port(2)).id("new");
    let mut request = dead.request();
    request["cni.dev/valid-attachments"] = json!([]);
    let log = std::env::temp_dir().join(format!("gc-{}", std::process::id()));
    let gc = |inject: &str| {
        let name = log.display().to_string();
        let strace = ["strace", "-o", &name, "-e", "trace=sendto", "-e", inject];
        dead.prepared("GC", &request).under(&strace)
    };
    let sent = || {
        std::fs::read_to_string(&log)
            .unwrap_or_default()
            .matches("sendto(")
            .count()
    };
    dead.does("ADD", &net.host);
    let all = "inject=sendto:delay_enter=1";
    assert_eq!(gc(all).run(&net.host).unwrap().code, Some(0));
    let total = sent();
    for nth in (total / 2 + 2..total).step_by(5) {
        dead.does("ADD", &net.host);
        std::fs::remove_file(&log).unwrap();
        let held = format!("inject=sendto:delay_enter=500000:when={nth}");
        let running = gc(&held).spawn(&net.host).unwrap();
        assert!(wait_until(Duration::from_secs(30), || sent() >= nth - 1));
        new.does("ADD", &net.host);
        let answer = running.wait().unwrap();
        assert_eq!(answer.code, Some(0), "{answer:?}");
        new.does("CHECK", &net.host);
        assert!(owned(&net.host, &dead.owner()).is_empty());
        new.does("DEL", &net.host);
    }
    std::fs::remove_file(&log).unwrap();
}

#[test]
fn mappings_that_could_inject_rules_are_refused() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(json!([{
        "hostPort": 8080, "containerPort": 80, "protocol": "tcp",
        "hostIP": "::1 accept\nadd table ip6 pwned\nadd rule ip6 cni_portmap by_port ip6 daddr ::2"
    }]));
    let answer = pod.call("ADD", &net.host);
    refused(&answer, 7);
    assert!(contents(&net.host).is_empty());
}
