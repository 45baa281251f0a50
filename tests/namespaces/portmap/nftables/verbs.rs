//! STATUS, and verbs on nodes where there is nothing.

use sandbox::Namespace;
use serde_json::json;

use super::{Pod, contents, host_with};

#[test]
fn status_is_content_with_this_kernel_and_changes_nothing() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    pod.does("STATUS", &net.host);
    assert!(contents(&net.host).is_empty());
}

#[test]
fn del_gc_and_check_on_a_node_that_never_saw_the_plugin() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let host = Namespace::new().unwrap();
    pod.does("DEL", &host);
    let mut request = pod.request();
    request["cni.dev/valid-attachments"] = json!([]);
    assert_eq!(
        pod.prepared("GC", &request).run(&host).unwrap().code,
        Some(0)
    );
    pod.fails("CHECK", &host, 101);
    assert!(contents(&host).is_empty());
}

#[test]
fn a_thousand_ports_are_one_change() {
    let net = host_with(1);
    let ports: Vec<_> = (0..1000)
        .map(|n| json!({"hostPort": 20_000 + n, "containerPort": 1 + n, "protocol": "tcp"}))
        .collect();
    let pod = Pod::new(&net, 0).mapping(json!(ports));
    pod.does("ADD", &net.host);
    pod.does("CHECK", &net.host);
    assert_eq!(super::owned(&net.host, &pod.owner()).len(), 5002);
    pod.does("DEL", &net.host);
    assert!(super::owned(&net.host, &pod.owner()).is_empty());
}
