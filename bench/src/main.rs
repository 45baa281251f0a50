//! Whole-process time of each verb, ours against Debian's reference in the same run, interleaved.
//!
//! `cargo run --release -p bench [ROUNDS]`, after `cargo build --release`. The figures are medians;
//! absolute times move with the machine, ratios much less.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`run`] | one execution of a plugin, timed |
//! | [`scenario`] | what is timed, and its samples |
//! | [`table`] | medians and ratios, printed |
//! | [`tuning`], [`portmap`], [`nftables`], [`bandwidth`] | the scenarios of one plugin or backend |
//! | [`connections`] | new connections per second through many host ports |
//! | [`others`] | other attachments on the node |

mod bandwidth;
mod connections;
mod nftables;
mod others;
mod portmap;
mod run;
mod scenario;
mod table;
mod tuning;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

/// Rounds unless the command line says otherwise: enough for a median that stays.
const ROUNDS: usize = 200;

fn main() -> ExitCode {
    let rounds = std::env::args()
        .nth(1)
        .map_or(Ok(ROUNDS), |text| text.parse());
    let done = match rounds {
        Ok(rounds) if rounds > 0 => bench(rounds),
        _ => Err("usage: bench [ROUNDS]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when stderr is closed.
            let _ = writeln!(std::io::stderr(), "bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{rounds} rounds, medians in milliseconds: ours, reference, reference/ours"
    )?;
    writeln!(out, "{}", table::HEADER)?;
    for build in [
        tuning::scenarios,
        bandwidth::scenarios,
        nftables::scenarios,
        portmap::scenarios,
    ] {
        for scenario in build()? {
            for row in scenario.measure(rounds)? {
                writeln!(out, "{row}")?;
            }
        }
    }
    writeln!(
        out,
        "\nNew TCP connections per second through portmap's rules"
    )?;
    for rates in connections::rates()? {
        writeln!(out, "{rates}")?;
    }
    Ok(())
}
