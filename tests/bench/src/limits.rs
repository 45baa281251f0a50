//! What nobody can be faster than: a process that does nothing, one batch, one ifb.

use std::io;
use std::path::PathBuf;

use sandbox::Topology;

use crate::run::{Call, Sample};
use crate::table::Spread;

/// Rounds of each.
const ROUNDS: usize = 200;
/// What `nft` is fed.
const TABLE: &str = "add table ip bench\nadd set ip bench ports { type inet_service; }\n";
const ELEMENT: &str = "add element ip bench ports { 8080 }\n";
const DELETION: &str = "delete element ip bench ports { 8080 }\n";

/// Names and times.
///
/// # Errors
/// When a program is missing or fails.
pub fn measure() -> io::Result<Vec<(&'static str, Spread)>> {
    let net = Topology::new().build()?;
    net.host.namespace.run(|| {
        nft(TABLE).run()?;
        let (mut empty, mut add, mut delete) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            empty.push(program("/bin/true", &[], "").run()?);
            add.push(nft(ELEMENT).run()?);
            delete.push(nft(DELETION).run()?);
        }
        let named = [
            ("a program that does nothing: `/bin/true`", empty),
            ("one batch that adds: `nft add element`", add),
            ("one batch that deletes: `nft delete element`", delete),
        ];
        named
            .into_iter()
            .map(|(name, samples)| Ok((name, spread(&samples)?)))
            .collect()
    })
}

fn spread(samples: &[Sample]) -> io::Result<Spread> {
    Spread::of(samples).ok_or_else(|| io::Error::other("no samples"))
}

fn nft(script: &str) -> Call {
    program("/usr/sbin/nft", &["-f", "-"], script)
}

fn program(path: &str, arguments: &[&str], stdin: &str) -> Call {
    Call {
        program: PathBuf::from(path),
        args: arguments.iter().map(|&one| one.to_owned()).collect(),
        env: Vec::new(),
        stdin: stdin.to_owned(),
    }
}
