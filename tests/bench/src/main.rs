//! Whole-process time of each verb, ours against Debian's reference in the same run, interleaved.
//!
//! `cargo run --release -p bench [ROUNDS [PLUGIN]]`, after `cargo build --release`. The figures are
//! medians; absolute times move with the machine, ratios much less. PLUGIN leaves the others out, `cnictl`
//! everything but the tool, and `rate` everything but the rate of a limited pod. Without it the run is written to docs/performance.md,
//! docs/performance.tsv and docs/pictures/rate.tsv.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`run`] | one execution of a plugin, timed |
//! | [`scenario`] | what is timed, and its samples |
//! | [`table`] | medians and ratios, printed |
//! | [`cost`] | system calls, programs, memory |
//! | [`rate`] | what a limited pod receives from the first packet on |
//! | [`limits`] | what nobody can be faster than |
//! | [`page`], [`machine`] | the page of the documentation |
//! | [`tuning`], [`portmap`], [`nftables`], [`bandwidth`] | the scenarios of one plugin or backend |
//! | [`connections`] | new connections per second through many host ports |
//! | [`crowd`] | many pods at once |
//! | [`tool`] | `cnictl` on a full node |
//! | [`others`] | other attachments on the node |

mod bandwidth;
mod connections;
mod cost;
mod crowd;
mod limits;
mod machine;
mod nets;
mod nftables;
mod others;
mod page;
mod portmap;
mod rate;
mod run;
mod scenario;
mod table;
mod tool;
mod tuning;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use page::Found;
use scenario::Scenario;

/// Rounds unless the command line says otherwise: enough for a median that stays.
const ROUNDS: usize = 200;

/// Makes the scenarios of one plugin or backend.
type Build = fn() -> io::Result<Vec<Scenario>>;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let rounds = args.next().map_or(Ok(ROUNDS), |text| text.parse());
    let only = args.next();
    let done = match rounds {
        Ok(rounds) if rounds > 0 && args.next().is_none() => bench(rounds, only.as_deref()),
        _ => Err("usage: bench [ROUNDS [PLUGIN]]".into()),
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

fn bench(rounds: usize, only: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{rounds} rounds, medians in milliseconds: ours, reference, reference/ours"
    )?;
    writeln!(out, "{}", table::HEADER)?;
    let builds: [(&str, Build); 4] = [
        ("tuning", tuning::scenarios),
        ("bandwidth", bandwidth::scenarios),
        ("portmap", nftables::scenarios),
        ("portmap", portmap::scenarios),
    ];
    let is_wanted = |plugin: &str| only.is_none_or(|only| only == plugin);
    // Before this run writes a file, which would make the build look changed.
    let facts = machine::facts()?;
    let mut found = Found {
        facts,
        ..Found::default()
    };
    for (_, build) in builds.iter().filter(|(plugin, _)| is_wanted(plugin)) {
        for scenario in build()? {
            for row in scenario.measure(rounds)? {
                writeln!(out, "{row}")?;
                found.rows.push(row);
            }
            if is_typical(&scenario) {
                found.costs.push((named(&scenario), cost::of(&scenario)?));
            }
        }
    }
    if is_wanted("portmap") {
        writeln!(
            out,
            "\nNew TCP connections per second through portmap's rules"
        )?;
        found.rates = connections::rates()?;
        for rates in &found.rates {
            writeln!(out, "{rates}")?;
        }
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    if is_wanted("rate") {
        fs::write(docs.join("pictures/rate.tsv"), rate::table()?)?;
    }
    if is_wanted("cnictl") {
        writeln!(out, "\ncnictl beside {} attachments", tool::COUNT)?;
        found.tool = tool::measure()?;
        for took in &found.tool {
            writeln!(out, "{took}")?;
        }
    }
    if only.is_none() {
        found.limits = limits::measure()?;
        found.write(&docs)?;
    }
    if is_wanted("portmap") {
        writeln!(out, "\n200 ADDs and 200 DELs of portmap at once")?;
        for crowd in crowd::crowds()? {
            writeln!(out, "{crowd}")?;
        }
    }
    Ok(())
}

/// Whether a scenario's costs besides time are measured, too: those of a node of usual size.
fn is_typical(scenario: &Scenario) -> bool {
    let is_bare = scenario.circumstance == bandwidth::BARE_DEL;
    !is_bare && (scenario.others == 100 || scenario.plugin == "tuning")
}

fn named(scenario: &Scenario) -> String {
    let parts = [scenario.plugin, scenario.backend];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}
