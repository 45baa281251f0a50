//! Many containers at once, sharing one directory of backups.

use std::thread;

use serde_json::json;

use super::pod::{Pod, Scratch};
use super::state::assert_state;

#[test]
fn sixteen_containers_are_added_and_deleted_at_once() {
    let shared = Scratch::new();
    let dir = shared.path().join("data");
    let pods: Vec<Pod> = (0..16).map(|_| Pod::new()).collect();
    thread::scope(|scope| {
        for (number, pod) in pods.iter().enumerate() {
            let dir = &dir;
            scope.spawn(move || {
                let before = pod.state();
                let container = format!("container-{number}");
                let conf = pod.conf(json!({
                    "mtu": 1400 + number, "txQLen": number, "dataDir": dir,
                    "sysctl": {"net.core.somaxconn": (100 + number).to_string()},
                }));
                let run = |verb: &str| {
                    let call = pod.call(verb).env("CNI_CONTAINERID", &container);
                    let answer = pod.finish(call, &conf);
                    assert_eq!(answer.code, Some(0), "{answer:?}");
                };
                for _ in 0..3 {
                    run("ADD");
                    let link = pod.link().unwrap();
                    assert_eq!(
                        (link.mtu, link.txqlen),
                        (1400 + number as u64, number as u64)
                    );
                    run("CHECK");
                    run("DEL");
                    assert_state!(pod.state(), before);
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}
