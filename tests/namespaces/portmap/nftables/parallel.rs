//! Many ADDs at once while somebody else changes the ruleset: all succeed, and the state is exact.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use super::{Pod, contents, host_with, nft};

const COUNT: u16 = 64;

fn pods(net: &sandbox::topology::Net) -> Vec<Pod> {
    (0..COUNT)
        .map(|n| {
            let mut pod = Pod::new(net, 0).id(&format!("pod-{n}")).mapping(json!([
                {"hostPort": 10_000 + n, "containerPort": 80, "protocol": "tcp"}
            ]));
            pod.v4 = format!("10.22.1.{n}/16");
            pod
        })
        .collect()
}

#[test]
fn sixty_four_adds_with_another_writer_give_exactly_their_sum() {
    let (net, calm) = (host_with(1), host_with(1));
    for pod in pods(&calm) {
        pod.does("ADD", &calm.host);
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                nft(
                    &net.host,
                    "table ip busy { chain c { tcp dport 1 accept; }; }",
                );
                nft(&net.host, "delete table ip busy");
            }
        });
        let host = &net.host;
        let adds: Vec<_> = pods(&net)
            .into_iter()
            .map(|pod| scope.spawn(move || pod.does("ADD", host)))
            .collect();
        let results: Vec<_> = adds.into_iter().map(|add| add.join()).collect();
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        assert!(results.iter().all(Result::is_ok));
    });
    assert_eq!(contents(&net.host), contents(&calm.host));
    thread::scope(|scope| {
        for pod in pods(&net) {
            let host = &net.host;
            scope.spawn(move || pod.does("CHECK", host));
        }
    });
}

#[test]
fn many_claims_of_one_port_leave_exactly_one_owner() {
    let net = host_with(1);
    let port = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let pods: Vec<Pod> = pods(&net)
        .into_iter()
        .take(16)
        .map(|pod| pod.mapping(port.clone()))
        .collect();
    thread::scope(|scope| {
        for pod in &pods {
            let host = &net.host;
            scope.spawn(move || pod.does("ADD", host));
        }
    });
    let owners = pods
        .iter()
        .filter(|pod| pod.call("CHECK", &net.host).code == Some(0));
    assert_eq!(owners.count(), 1);
    for pod in &pods {
        pod.does("DEL", &net.host);
    }
    assert!(!super::ruleset(&net.host).contains("elements"));
}
