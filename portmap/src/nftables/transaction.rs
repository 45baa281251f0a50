//! Look, decide, commit: again as long as somebody else commits in between.

use std::time::{Duration, Instant};

use common::error::{Code, Error};

use super::command::Command;
use super::socket::{Nft, Outcome};

/// How long somebody else may be faster each time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest rest between two tries.
const REST: Duration = Duration::from_millis(5);

/// Runs `decide` and commits its commands, unless the ruleset has changed since `decide` began to
/// look: then it has to look again. Gives what `decide` gave beside the commands.
///
/// # Errors
/// What `decide` or the kernel said; code 11 when the ruleset never holds still.
pub fn run<T>(
    nft: &mut Nft,
    mut decide: impl FnMut(&mut Nft) -> Result<(Vec<Command>, T), Error>,
) -> Result<T, Error> {
    let start = Instant::now();
    let mut tries = 0u32;
    loop {
        let generation = nft.generation()?;
        let (commands, outcome) = decide(nft)?;
        if nft.commit(generation, &commands)? == Outcome::Done {
            return Ok(outcome);
        }
        tries += 1;
        if start.elapsed() > PATIENCE {
            let msg = "nf_tables: others keep changing the ruleset";
            let details = format!("{tries} tries in {} s", PATIENCE.as_secs());
            return Err(Error::new(Code::TryAgainLater, msg).with_details(details));
        }
        rest(tries);
    }
}

/// Lets others finish. Processes that collide rest for different times, or they would again.
fn rest(tries: u32) {
    let spread = std::process::id().wrapping_mul(2_654_435_761) >> 24;
    let rest = Duration::from_micros(u64::from(tries.min(20)) * u64::from(spread));
    std::thread::sleep(rest.min(REST));
}
