//! What the tests look at from outside and inside.

use std::net::SocketAddr;
use std::time::Duration;

use runtimes::{Machine, image};
use sandbox::probe::http;
use sandbox::{Namespace, Snapshot, wait_until};
use serde_json::Value;

/// The longest that something may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The longest that one fetch may take. Where nobody listens it is refused at once.
const FETCH: Duration = Duration::from_secs(2);

/// The web page comes from `address`, maybe after a while: servers need a moment to start.
#[track_caller]
pub fn assert_page(client: &Namespace, address: SocketAddr) {
    assert_page_within(PATIENCE, client, address);
}

/// The same with other patience.
#[track_caller]
pub fn assert_page_within(patience: Duration, client: &Namespace, address: SocketAddr) {
    let mut last = String::new();
    let came = wait_until(patience, || {
        last = fetch(client, address);
        last == image::PAGE
    });
    assert!(came, "{address}: {last}");
}

/// Nobody serves the page at `address`.
#[track_caller]
pub fn assert_no_page(client: &Namespace, address: SocketAddr) {
    let last = fetch(client, address);
    assert!(last.contains("refused"), "{address}: {last}");
}

/// The page at `address`, or why there is none.
pub fn fetch(client: &Namespace, address: SocketAddr) -> String {
    http::fetch(client, address, FETCH).unwrap_or_else(|e| e.to_string())
}

/// Runs a command of the machine in a network namespace of the machine, given by its path.
#[track_caller]
pub fn inside(machine: &Machine, netns: &str, line: &[&str]) -> String {
    let net = format!("--net={netns}");
    let output = machine.sh(&[&["nsenter", &net, "--"], line].concat());
    output.expect("a command in the pod").trim().to_owned()
}

/// The rates, in bytes per second, of all token buckets of the host, slowest first.
pub fn token_buckets(host: &Snapshot) -> Vec<u64> {
    let qdiscs = host
        .qdiscs
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON of tc"));
    let buckets = qdiscs.filter(|qdisc: &Value| qdisc["kind"] == "tbf");
    let mut rates: Vec<_> = buckets
        .filter_map(|qdisc| qdisc["options"]["rate"].as_u64())
        .collect();
    rates.sort_unstable();
    rates
}
