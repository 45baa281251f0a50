//! The table of cases and the summary.

use std::io::{self, Write};
use std::time::Duration;

use crate::case::Case;
use crate::failure::{Failure, Verdict};
use crate::group::Group;
use crate::known::Known;

/// What came of a case, measured by what is known of the plugin under test.
pub enum Outcome<'a> {
    /// As it should.
    Pass,
    /// It fails, which is known, with the reason.
    Differs(&'a str),
    /// It fails, or no longer fails though it is known to.
    Fail(String),
}

/// Judges a verdict.
pub fn outcome<'a>(case: &Case, verdict: &Verdict, known: &'a Known) -> Outcome<'a> {
    let difference = known.difference(&case.group.to_string(), &case.name);
    match (verdict, difference) {
        (Err(_), Some(difference)) => Outcome::Differs(&difference.why),
        (Err(Failure(what)), None) => Outcome::Fail(what.clone()),
        (Ok(()), Some(difference)) if !difference.by_chance => Outcome::Fail(
            "passes, though testdata/conformance/known.tsv has it as a known difference: remove the row"
                .to_owned(),
        ),
        (Ok(()), _) => Outcome::Pass,
    }
}

/// Prints every case of a group under its heading; when `quiet`, only what fails.
pub fn cases(
    out: &mut impl Write,
    group: Group,
    rows: &[(&Case, Outcome<'_>)],
    quiet: bool,
) -> io::Result<()> {
    writeln!(out, "\n{group}")?;
    for (case, outcome) in rows {
        match outcome {
            Outcome::Pass | Outcome::Differs(_) if quiet => {}
            Outcome::Pass => writeln!(out, "  pass             {}", case.name)?,
            Outcome::Differs(why) => writeln!(out, "  differs (known)  {}: {why}", case.name)?,
            Outcome::Fail(what) => {
                writeln!(out, "  FAIL             {}", case.name)?;
                writeln!(out, "                   {what}")?;
            }
        }
    }
    Ok(())
}

/// Counts of a group: pass, differs, fail.
pub fn counts(rows: &[(&Case, Outcome<'_>)]) -> [usize; 3] {
    rows.iter().fold(
        [0; 3],
        |[pass, differs, fail], (_, outcome)| match outcome {
            Outcome::Pass => [pass + 1, differs, fail],
            Outcome::Differs(_) => [pass, differs + 1, fail],
            Outcome::Fail(_) => [pass, differs, fail + 1],
        },
    )
}

/// Prints a line of the summary.
pub fn summary_line(
    out: &mut impl Write,
    name: &str,
    [pass, differs, fail]: [usize; 3],
) -> io::Result<()> {
    writeln!(out, "| {name:<24} | {pass:>4} | {differs:>7} | {fail:>6} |")
}

/// Prints the head of the summary.
pub fn summary_head(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n| {:<24} | pass | differs | failed |", "cases")?;
    writeln!(out, "| {:-<24} | ---: | ------: | -----: |", "")
}

/// Prints what came of a case as soon as it has ended.
pub fn progress(
    out: &mut impl Write,
    case: &Case,
    verdict: &Verdict,
    time: Duration,
) -> io::Result<()> {
    let seconds = time.as_secs_f64();
    match verdict {
        Ok(()) => writeln!(out, "{seconds:6.1} s  {}: {}", case.group, case.name),
        Err(Failure(what)) => {
            let (group, name) = (case.group, &case.name);
            writeln!(out, "{seconds:6.1} s  {group}: {name}\n    fails: {what}")
        }
    }
}

/// Prints the twenty cases that took longest.
pub fn slowest(out: &mut impl Write, cases: &[Case], times: &[Duration]) -> io::Result<()> {
    let mut rows: Vec<_> = cases.iter().zip(times).collect();
    rows.sort_by_key(|(_, time)| std::cmp::Reverse(**time));
    for (case, time) in rows.iter().take(20) {
        writeln!(
            out,
            "{:6.1} s  {}: {}",
            time.as_secs_f64(),
            case.group,
            case.name
        )?;
    }
    Ok(())
}
