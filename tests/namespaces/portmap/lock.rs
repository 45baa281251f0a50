//! Another program that holds the legacy variant's lock.

use std::fs::File;
use std::time::{Duration, Instant};

use super::node::{Backend, Host, mapping, request};

#[test]
fn a_held_lock_is_an_error_to_try_again_in_bounded_time_and_nothing_is_changed() {
    let host = Host::usual(Backend::IptablesLegacy);
    let request = request("", &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    let before = host.state();
    let lock = File::create(host.directory.join("lock")).unwrap();
    lock.lock().unwrap();
    let calls = [
        host.call("ADD", &request)
            .env("CNI_CONTAINERID", "cid-0002"),
        host.call("DEL", &request),
    ];
    let started = Instant::now();
    let running: Vec<_> = calls
        .iter()
        .map(|call| call.spawn(&host.net.host).unwrap())
        .collect();
    for running in running {
        let answer = running.wait().unwrap();
        assert!(answer.stdout.contains("\"code\": 11,"), "{}", answer.stdout);
    }
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    lock.unlock().unwrap();
    assert_eq!(host.state(), before);
    host.run("DEL", &request);
    host.is_clean();
}
