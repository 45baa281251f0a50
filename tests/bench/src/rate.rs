//! The rate of a limited pod from the first packet on: what it receives in each half second.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::nets::Nets;
use crate::run::{ADDRESS, Call, prev_result};
use crate::scenario::Side;

/// How long it is watched, and how often it is looked at.
const TIME: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(500);
/// Bits per second.
const LIMIT: u64 = 10_000_000;
/// What containerd sends where no burst was asked for, in bits.
const BURST: u64 = 4_294_967_295;
const POD: &str = "10.22.0.2:5001";

/// Columns: seconds at the end of the step, then Mbit/s of ours and of the reference.
///
/// # Errors
/// When the pods cannot be made, or no connection leads to them.
pub fn table() -> io::Result<String> {
    let [ours, reference] = [Side::Ours, Side::Reference].map(watch);
    let mut text = "# Received by a pod limited to 10 Mbit/s with containerd's burst, in Mbit/s: make bench.\n\
                    seconds\tours\treference\n"
        .to_owned();
    for (at, (ours, reference)) in (1..).zip(ours?.into_iter().zip(reference?)) {
        let seconds = STEP.as_secs_f64() * f64::from(at);
        // Writing to a String has no way to fail.
        let _ = writeln!(text, "{seconds:.1}\t{ours:.2}\t{reference:.2}");
    }
    Ok(text)
}

fn watch(side: Side) -> io::Result<Vec<f64>> {
    let nets = Nets::build()?;
    let netns = nets.netns(side);
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net1", "type": "bandwidth",
        "runtimeConfig": {"bandwidth": {"ingressRate": LIMIT, "ingressBurst": BURST}},
        "prevResult": prev_result(&netns, ADDRESS),
    });
    let add = Call::cni(side.program("bandwidth"), "ADD", &netns, &conf);
    nets.host(side).run(|| add.run())?;
    let pod = nets.pod(side).ok_or(io::ErrorKind::NotFound)?;
    let listener = pod.run(|| TcpListener::bind(POD))?;
    let sender = nets.host(side).run(|| TcpStream::connect(POD))?;
    let (receiver, _) = listener.accept()?;
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    thread::spawn(move || count(receiver, &counter));
    thread::spawn(move || send(sender));
    Ok(sample(&received))
}

/// Until the connection ends with the process.
fn send(mut to: TcpStream) {
    let block = [0; 1 << 16];
    while to.write_all(&block).is_ok() {}
}

fn count(mut from: TcpStream, received: &AtomicU64) {
    let mut block = [0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut block) {
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// Mbit/s of each step, by the time that it really took.
fn sample(received: &AtomicU64) -> Vec<f64> {
    let start = Instant::now();
    let (mut at, mut before) = (start, received.load(Ordering::Relaxed));
    let mut rates = Vec::new();
    while start.elapsed() < TIME {
        thread::sleep(STEP);
        let (now, total) = (Instant::now(), received.load(Ordering::Relaxed));
        let bytes = u32::try_from(total - before).unwrap_or(u32::MAX);
        rates.push(f64::from(bytes) * 8.0 / 1e6 / (now - at).as_secs_f64());
        (at, before) = (now, total);
    }
    let steps = TIME.as_millis() / STEP.as_millis();
    rates.truncate(usize::try_from(steps).unwrap_or(rates.len()));
    rates
}
