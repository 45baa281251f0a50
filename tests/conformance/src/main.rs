//! The conformance suite: one table of black-box cases for any directory of `tuning`, `portmap` and
//! `bandwidth` plugins.
//!
//! ```sh
//! make conformance                          # ours
//! make conformance CNI_BIN=/usr/lib/cni     # the reference
//! conformance [--list] [--quiet] [--progress] [--times] [--ipvs] [--kube-proxy=PATH] [--threads=N] [--without=TEXT] [TEXT …]
//! ```
//!
//! `--ipvs` adds the cases beside kube-proxy in ipvs mode, which need `ip_vs` of the kernel, ipvsadm and ipset;
//! `--kube-proxy` adds those beside that program itself, which needs the same. With
//! TEXTs only groups and cases with one of them in `GROUP: CASE` run, and each TEXT must choose one; those
//! with the TEXT of a `--without` do not.
//!
//! Every case says what is right. What the reference is known to do otherwise stands in
//! testdata/conformance/known.tsv, by the case's name and with the reason.

use std::env;
use std::io::{self, Write};
use std::process::{self, ExitCode};

use crate::case::{Case, Table};
use crate::failure::{Failure, Verdict, fail};
use crate::group::Group;
use crate::known::Known;

mod at_once;
mod case;
mod cases;
mod edit;
mod edition;
mod exec;
mod failure;
mod group;
mod json;
mod kernel;
mod known;
mod lab;
mod reply;
mod report;
mod request;
mod runner;

/// What was asked for on the command line.
struct Arguments {
    list: bool,
    quiet: bool,
    progress: bool,
    times: bool,
    beside: cases::Beside,
    threads: usize,
    texts: Vec<String>,
    without: Vec<String>,
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Failure(what)) => {
            let _ = writeln!(io::stderr(), "conformance: {what}");
            ExitCode::from(2)
        }
    }
}

fn arguments() -> Result<Arguments, Failure> {
    let mut arguments = Arguments {
        list: false,
        quiet: false,
        progress: false,
        times: false,
        beside: cases::Beside::default(),
        threads: std::thread::available_parallelism().map_or(8, |count| count.get() * 8),
        texts: Vec::new(),
        without: Vec::new(),
    };
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--list" => arguments.list = true,
            "--quiet" => arguments.quiet = true,
            "--progress" => arguments.progress = true,
            "--times" => arguments.times = true,
            "--ipvs" => arguments.beside.ipvs = true,
            _ => match argument.split_once('=') {
                Some(("--threads", count)) => {
                    arguments.threads = count
                        .parse()
                        .map_err(|e| Failure(format!("{argument}: {e}")))?;
                }
                Some(("--kube-proxy", path)) => {
                    arguments.beside.kube_proxy = Some(path.into());
                }
                Some(("--without", text)) => arguments.without.push(text.to_owned()),
                _ => arguments.texts.push(argument),
            },
        }
    }
    Ok(arguments)
}

fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let mut table = Table::default();
    cases::all(&mut table, &arguments.beside);
    choose(&mut table.cases, &arguments.texts, &arguments.without)?;
    table.cases.sort_by_key(|case| case.group);
    let mut out = io::stdout().lock();
    if arguments.list {
        for case in &table.cases {
            writeln!(out, "{}: {}", case.group, case.name)?;
        }
        return Ok(true);
    }
    sandbox::userns::enter_unless_root()?;
    let edition = edition::detect()?;
    writeln!(
        out,
        "plugins in {} ({edition})",
        sandbox::plugin::directory().display()
    )?;
    let known = Known::parse(known::ROWS, edition)?;
    let base = env::temp_dir().join(format!("conformance-{}", process::id()));
    exec::prepare_paths(&base.join("path"))?;
    let ended = |case: &Case, verdict: &Verdict, time| {
        if arguments.progress {
            let _ = report::progress(&mut io::stderr(), case, verdict, time);
        }
    };
    let (verdicts, times): (Vec<_>, Vec<_>) =
        runner::run(&table.cases, &base, arguments.threads, ended)
            .into_iter()
            .unzip();
    let _ = std::fs::remove_dir_all(&base);
    if arguments.times {
        report::slowest(&mut out, &table.cases, &times)?;
    }
    print(&mut out, &table.cases, &verdicts, &known, arguments)
}

/// Keeps the cases that one of the texts chooses, all where there is no text, but none that one of `without` chooses.
fn choose(cases: &mut Vec<Case>, texts: &[String], without: &[String]) -> Result<(), Failure> {
    let chosen = |case: &Case, text: &String| {
        format!("{}: {}", case.group, case.name).contains(text.as_str())
    };
    for text in texts.iter().chain(without) {
        if !cases.iter().any(|case| chosen(case, text)) {
            return fail(format!("no case has {text:?} in its group and name"));
        }
    }
    let is_in = |case: &Case, texts: &[String]| texts.iter().any(|text| chosen(case, text));
    cases.retain(|case| (texts.is_empty() || is_in(case, texts)) && !is_in(case, without));
    Ok(())
}

fn print(
    out: &mut impl Write,
    cases: &[Case],
    verdicts: &[Verdict],
    known: &Known,
    arguments: &Arguments,
) -> Result<bool, Failure> {
    let mut sums = Vec::new();
    for group in Group::ALL {
        let rows: Vec<_> = cases
            .iter()
            .zip(verdicts)
            .filter(|(case, _)| case.group == group)
            .map(|(case, verdict)| (case, report::outcome(case, verdict, known)))
            .collect();
        if !rows.is_empty() {
            report::cases(out, group, &rows, arguments.quiet)?;
        }
        sums.push((group, report::counts(&rows)));
    }
    report::summary_head(out)?;
    let mut total = [0; 3];
    for (group, counts) in sums {
        report::summary_line(out, &group.to_string(), counts)?;
        total =
            std::array::from_fn(|at| total.get(at).unwrap_or(&0) + counts.get(at).unwrap_or(&0));
    }
    report::summary_line(out, "all", total)?;
    let [pass, differs, mut failed] = total;
    for (group, case) in unknown(cases, known, arguments) {
        writeln!(out, "{}: {group} has no case {case:?}", known::FILE)?;
        failed += 1;
    }
    writeln!(out, "{} passed, {failed} failed", pass + differs)?;
    Ok(failed == 0)
}

/// Known differences that are about no case.
fn unknown<'k>(
    cases: &[Case],
    known: &'k Known,
    arguments: &Arguments,
) -> Vec<&'k (String, String)> {
    let exists = |(group, name): &(String, String)| {
        cases
            .iter()
            .any(|case| case.name == *name && case.group.to_string() == *group)
    };
    known
        .cases()
        .filter(|row| arguments.texts.is_empty() && !exists(row))
        .collect()
}
