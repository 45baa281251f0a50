//! Look, decide, commit: again as long as another process commits in between.

use std::time::{Duration, Instant};

use common::error::{Code, Error};

use crate::command::Command;
use crate::socket::{self, Nft, Outcome};

/// How long others may be faster each time.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often, at least: on a starved machine a try may take all of that.
const TRIES: u32 = 20;

/// The longest rest between two tries.
const REST: Duration = Duration::from_millis(5);

/// Runs `decide` and commits its commands, unless the ruleset has changed since `decide` began to
/// look: then it has to look again. Gives what `decide` gave beside the commands.
///
/// Where the answer to a commit is lost, it looks again too: if nothing is left to do, that commit
/// happened, and what was decided for it counts.
///
/// # Errors
/// What `decide` or the kernel said; code 11 when the ruleset changes all the time.
pub fn run<T>(
    nft: &mut Nft,
    mut decide: impl FnMut(&mut Nft) -> Result<(Vec<Command>, T), Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    let mut tries = 0u32;
    let mut perhaps_done = None;
    loop {
        let looked = nft.generation().and_then(|g| Ok((g, decide(nft)?)));
        let (generation, (commands, outcome)) = looked.map_err(|error| match perhaps_done {
            Some(_) => error.and(socket::doubt()),
            None => error,
        })?;
        if let (true, Some(outcome)) = (commands.is_empty(), perhaps_done.take()) {
            return Ok(outcome);
        }
        match nft.commit(generation, &commands)? {
            Outcome::Done => return Ok(outcome),
            Outcome::Unknown => perhaps_done = Some(outcome),
            Outcome::Outdated => {}
        }
        tries += 1;
        let elapsed = start.elapsed();
        if elapsed > PATIENCE && tries >= TRIES {
            let msg = "nf_tables: others keep changing the ruleset";
            let details = format!("{tries} attempts in {} s", elapsed.as_secs());
            return Err(Error::new(Code::TryAgainLater, msg).with_details(details));
        }
        rest(tries);
    }
}

/// Waits for others to finish. Processes that collide wait for different times, so as not to collide again.
fn rest(tries: u32) {
    let spread = std::process::id().wrapping_mul(2_654_435_761) >> 24;
    let rest = Duration::from_micros(u64::from(tries.min(20)) * u64::from(spread));
    std::thread::sleep(rest.min(REST));
}
