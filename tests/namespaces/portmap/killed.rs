//! ADD that is killed at any moment leaves what DEL can remove.

use std::time::Duration;

use sandbox::wait_until;

use super::node::{Backend, Host, mapping, on_every_backend, request};

on_every_backend!(del_after_a_killed_add_leaves_nothing);

/// 100 for each backend: 200 and more in all.
const TRIALS: u32 = 100;

fn del_after_a_killed_add_leaves_nothing(backend: Backend) {
    let host = Host::usual(backend);
    let request = request(
        "",
        &[mapping("tcp", 8080, 80), mapping("udp", 8081, 80)].join(","),
    );
    let whole = host.run("ADD", &request).duration;
    host.run("DEL", &request);
    let mut seen = [0, 0];
    for trial in 0..TRIALS {
        let mut running = host.call("ADD", &request).spawn(&host.net.host).unwrap();
        // Moments spread evenly over somewhat more than a whole ADD.
        let moment = whole * trial / (TRIALS * 3 / 4);
        let start = std::time::Instant::now();
        wait_until(Duration::from_secs(1), || start.elapsed() >= moment);
        running.kill().unwrap();
        let answer = running.wait().unwrap();
        seen[usize::from(answer.code.is_some())] += 1;
        host.run("DEL", &request);
        host.is_clean();
    }
    assert!(seen[0] > 10, "killed {} of {TRIALS}", seen[0]);
    host.run("ADD", &request);
    host.run("CHECK", &request);
}
