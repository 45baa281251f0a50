//! Another ADD that changes nf_tables between a look and the commit that follows from it.

use serde_json::json;

use super::held::held_at;
use crate::portmap::nftables::{Pod, host_with};

/// As a program that knows nothing of our turns.
const WITHOUT_TURNS: [&str; 5] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs none /run && exec \"$0\" \"$@\"",
];

/// Both want the port. The one that commits last must see the other, and take the port from it.
#[test]
fn whenever_another_add_comes_in_between_one_has_the_port_and_both_are_removed() {
    let net = host_with(2);
    let port = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let pods = [0, 1].map(|number| Pod::new(&net, number).mapping(port.clone()));
    let [held, other] = &pods;
    for nth in 1..100 {
        let add = held.prepared("ADD", &held.request());
        let answer = held_at(&net.host, &add, nth, || {
            let add = other
                .prepared("ADD", &other.request())
                .under(&WITHOUT_TURNS);
            assert_eq!(add.run(&net.host).unwrap().code, Some(0), "{nth}");
        });
        let came_that_far = answer.is_some();
        if let Some(answer) = answer {
            assert_eq!(answer.code, Some(0), "{nth}: {answer:?}");
            let has_port = |pod: &&Pod| pod.call("CHECK", &net.host).code == Some(0);
            assert_eq!(pods.iter().filter(has_port).count(), 1, "{nth}");
        }
        for pod in &pods {
            pod.does("DEL", &net.host);
        }
        let left = crate::portmap::nftables::contents(&net.host);
        let is_theirs = |line: &String| line.contains("pod-");
        assert!(!left.iter().any(is_theirs), "{nth}: {left:?}");
        if !came_that_far {
            assert!(nth > 4, "{nth}");
            return;
        }
    }
    panic!("requests without end");
}
