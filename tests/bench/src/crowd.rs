//! Many at once: 200 pods come while 200 others go, as when a node is drained and filled again.

use std::fmt;
use std::io;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use sandbox::plugin;
use serde_json::json;

use crate::nets::Nets;
use crate::run::{Call, prev_result};
use crate::scenario::Side;

/// Pods that come, and pods that go.
const COUNT: u16 = 200;

/// How long each of them took. Evenly served, the slowest takes twice as long as the one in the middle: they
/// all wait in one queue.
pub struct Crowd {
    backend: &'static str,
    median: Duration,
    slowest: Duration,
    /// Answers with code 11.
    refused: usize,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crowd {
            backend,
            median,
            slowest,
            refused,
        } = self;
        let [median, slowest] = [median, slowest].map(Duration::as_secs_f64);
        let ratio = slowest / median;
        write!(
            f,
            "{backend:<18}median {median:>6.2} s, slowest {slowest:>6.2} s, {ratio:.1} times; {refused} times code 11"
        )
    }
}

/// The crowds of each backend that needs no program.
///
/// # Errors
/// When a node cannot be made, or an answer is another error than code 11.
pub fn crowds() -> io::Result<Vec<Crowd>> {
    ["nftables", "iptables"].into_iter().map(crowd).collect()
}

fn crowd(backend: &'static str) -> io::Result<Crowd> {
    let nets = Nets::build()?;
    let calls = |verb: &'static str, pods: Range<u16>| {
        let nets = &nets;
        pods.map(move |pod| call(nets, backend, verb, pod))
    };
    run(&nets, calls("ADD", 0..COUNT).collect())?;
    let both = calls("ADD", COUNT..2 * COUNT).zip(calls("DEL", 0..COUNT));
    let answers = run(&nets, both.flat_map(|(add, del)| [add, del]).collect())?;
    let refused = answers.iter().filter(|took| took.is_none()).count();
    let mut took: Vec<Duration> = answers.into_iter().flatten().collect();
    took.sort_unstable();
    let at = |place: usize| took.get(place).copied().ok_or(io::ErrorKind::NotFound);
    Ok(Crowd {
        backend,
        median: at(took.len() / 2)?,
        slowest: at(took.len().saturating_sub(1))?,
        refused,
    })
}

/// Runs calls at once; `None` for each that is to be tried again later.
fn run(nets: &Nets, calls: Vec<Call>) -> io::Result<Vec<Option<Duration>>> {
    let one = |call: &Call| match call.run() {
        Ok(sample) => Ok(Some(sample.wall)),
        Err(error) if error.to_string().contains("\"code\": 11") => Ok(None),
        Err(error) => Err(error),
    };
    nets.host(Side::Ours).run(|| {
        thread::scope(|scope| {
            let started: Vec<_> = calls.iter().map(|call| scope.spawn(|| one(call))).collect();
            let lost = |_| io::Error::other("a thread that runs a plugin panicked");
            let ended = started.into_iter();
            ended.map(|thread| thread.join().map_err(lost)?).collect()
        })
    })
}

/// Of a pod with a port of its own.
fn call(nets: &Nets, backend: &str, verb: &str, pod: u16) -> Call {
    let netns = nets.netns(Side::Ours);
    let address = format!("10.22.{}.{}/16", pod / 200, pod % 200 + 2);
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net1", "type": "portmap", "backend": backend,
        "runtimeConfig": {"portMappings": [
            {"hostPort": 9000 + pod, "containerPort": 80, "protocol": "tcp"},
        ]},
        "prevResult": prev_result(&netns, &address),
    });
    let mut call = Call::cni(plugin::binary("portmap"), verb, &netns, &conf);
    let id = ("CNI_CONTAINERID".to_owned(), format!("cid-{pod}"));
    call.env.push(id);
    call
}
