//! Who lost a port to a newer owner waits for it, and is served when the newer one goes.

use sandbox::probe::tcp;
use sandbox::topology::Net;
use serde_json::json;

use super::owners::port;
use super::{Pod, contents, host_with, nft, owned};

/// What a client gets at port 8080, over both families.
fn served(net: &Net) -> [Option<String>; 2] {
    let answer = |to| tcp::exchange(net.client(), to).server().map(str::to_owned);
    net.host.both(8080).map(answer)
}

fn by(number: usize) -> [Option<String>; 2] {
    let name = Some(format!("pod {number}"));
    [name.clone(), name]
}

fn serving(net: &Net) -> Vec<tcp::Server> {
    let server = |n: usize| tcp::Server::start(&net.containers[n], 80, &format!("pod {n}"));
    (0..3).map(|n| server(n).unwrap()).collect()
}

#[test]
fn the_next_owner_is_served_when_the_newest_goes() {
    let net = host_with(3);
    let _servers = serving(&net);
    let pods = [0, 1, 2].map(|n| Pod::new(&net, n).mapping(port(8080)));
    for (number, pod) in pods.iter().enumerate() {
        pod.does("ADD", &net.host);
        assert_eq!(served(&net), by(number));
    }
    let told = pods[0].fails("CHECK", &net.host, 101);
    assert!(told.contains(&pods[2].owner()), "{told}");
    // One who waits goes without the others noticing.
    pods[1].does("DEL", &net.host);
    assert_eq!(served(&net), by(2));
    pods[2].does("CHECK", &net.host);
    // A request that does not say which ports there are finds them all the same.
    pods[2].clone().mapping(json!([])).does("DEL", &net.host);
    assert_eq!(served(&net), by(0));
    pods[0].does("CHECK", &net.host);
    pods[0].does("DEL", &net.host);
    assert_eq!(served(&net), [None, None]);
    assert!(owned(&net.host, &pods[0].owner()).is_empty());
    assert!(
        !contents(&net.host)
            .iter()
            .any(|line| line.contains("concat\":[\"tcp\""))
    );
}

#[test]
fn a_repeated_add_of_one_who_waits_is_the_newest_and_of_one_who_is_served_changes_nothing() {
    let net = host_with(3);
    let _servers = serving(&net);
    let pods = [0, 1].map(|n| Pod::new(&net, n).mapping(port(8080)));
    for n in [0, 1, 0, 0] {
        pods[n].does("ADD", &net.host);
        assert_eq!(served(&net), by(n));
    }
    pods[0].does("DEL", &net.host);
    assert_eq!(served(&net), by(1));
}

#[test]
fn gc_of_the_newest_owners_serves_the_next_living_one_with_what_it_masquerades() {
    let net = host_with(3);
    let _servers = serving(&net);
    let pods = [0, 1, 2].map(|n| Pod::new(&net, n).mapping(port(8080)));
    pods[0].does("ADD", &net.host);
    let alone = contents(&net.host);
    pods[1]
        .clone()
        .with("snat", json!(false))
        .does("ADD", &net.host);
    pods[2]
        .clone()
        .with("masqAll", json!(true))
        .does("ADD", &net.host);
    let mut request = pods[0].request();
    request["cni.dev/valid-attachments"] = json!([{"containerID": "pod-0", "ifname": "eth0"}]);
    let answer = pods[0].prepared("GC", &request).run(&net.host).unwrap();
    assert_eq!(answer.code, Some(0), "{}", answer.stdout);
    assert_eq!(served(&net), by(0));
    assert_eq!(contents(&net.host), alone);
    pods[0].does("CHECK", &net.host);
}

/// ADD that fails in the end, when it sets `route_localnet`.
fn failing_add(pod: &Pod, net: &Net) {
    let switch = "/proc/sys/net/ipv4/conf/cni0/route_localnet";
    net.host
        .set_sysctl("net.ipv4.conf.cni0.route_localnet", "0")
        .unwrap();
    let inject = ["-e", "trace=write", "-e", "inject=write:error=EIO"];
    let mut strace = vec!["strace", "-qq", "-o", "/dev/null", "-P", switch];
    strace.extend(inject);
    let answer = pod
        .prepared("ADD", &pod.request())
        .under(&strace)
        .run(&net.host);
    assert_eq!(answer.unwrap().code, Some(1));
}

#[test]
fn a_failed_add_gives_the_port_back_and_leaves_those_who_came_since() {
    let net = host_with(3);
    let _servers = serving(&net);
    let pods = [0, 1, 2].map(|n| Pod::new(&net, n).mapping(port(8080)));
    pods[0].does("ADD", &net.host);
    let before = contents(&net.host);
    failing_add(&pods[1], &net);
    assert_eq!(contents(&net.host), before);
    assert_eq!(served(&net), by(0));
    // A repeated ADD that fails leaves the first one's place in the queue.
    pods[1].does("ADD", &net.host);
    let before = contents(&net.host);
    failing_add(&pods[0], &net);
    assert_eq!(contents(&net.host), before);
    failing_add(
        &pods[0].clone().mapping(json!([
            {"hostPort": 8080, "containerPort": 81, "protocol": "tcp"},
            {"hostPort": 9090, "containerPort": 80, "protocol": "tcp"}
        ])),
        &net,
    );
    assert_eq!(contents(&net.host), before);
}

#[test]
fn a_container_s_second_network_does_not_take_its_own_port() {
    let net = host_with(3);
    let _servers = serving(&net);
    let other = Pod::new(&net, 2).mapping(port(8080));
    let first = Pod::new(&net, 0).mapping(port(8080)).id("web");
    let mut second = Pod::new(&net, 1)
        .mapping(port(8080))
        .id("web")
        .with("onConflict", json!("error"));
    (second.network, second.ifname) = ("net2".into(), "eth1".into());
    first.does("ADD", &net.host);
    second.does("ADD", &net.host);
    second.does("ADD", &net.host);
    assert_eq!(served(&net), by(0));
    first.does("CHECK", &net.host);
    second.does("CHECK", &net.host);
    let told = other
        .clone()
        .with("onConflict", json!("error"))
        .fails("ADD", &net.host, 102);
    assert!(told.contains("8080/tcp"), "{told}");
    first.does("DEL", &net.host);
    assert_eq!(served(&net), by(1));
    second.does("CHECK", &net.host);
    // Another container takes it, and gives it back.
    other.does("ADD", &net.host);
    assert_eq!(served(&net), by(2));
    second.fails("CHECK", &net.host, 101);
    other.does("DEL", &net.host);
    assert_eq!(served(&net), by(1));
}

#[test]
fn a_damaged_queue_is_found_by_check_and_mended_by_add() {
    let net = host_with(2);
    let pods = [0, 1].map(|n| Pod::new(&net, n).mapping(port(8080)));
    pods[0].does("ADD", &net.host);
    pods[1].does("ADD", &net.host);
    nft(&net.host, "flush map ip cni_portmap shadowed");
    pods[1].does("CHECK", &net.host);
    pods[0].does("ADD", &net.host);
    pods[0].does("CHECK", &net.host);
    pods[0].does("DEL", &net.host);
    pods[1].does("CHECK", &net.host);
}
