//! `cnictl`: parse the command line, run the verb, print what came of it.
//!
//! Called by the name `veth`, the same binary is the built-in main plugin.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use cnictl::answer::Answer;
use cnictl::chain::{Outcome, Versions};
use cnictl::cli::{Attach, Cli, Command, Common, Gc, Whole};
use cnictl::request::Request;
use cnictl::trace::{Observer, answer_text, request_text};
use cnictl::{Error, Result, Runner, Verb, capabilities, setup, veth};
use serde_json::{Value, json};

fn main() -> ExitCode {
    let called = std::env::args_os().next();
    if called
        .as_deref()
        .map(Path::new)
        .and_then(Path::file_name)
        .is_some_and(|name| name == veth::NAME)
    {
        return veth::main();
    }
    let cli = Cli::parse();
    let (common, done) = match &cli.command {
        Command::Add(attach) => (&attach.common, add(attach)),
        Command::Check(attach) => (&attach.common, check(attach)),
        Command::Del(attach) => (&attach.common, del(attach)),
        Command::Gc(args) => (&args.common, gc(args)),
        Command::Status(whole) => (&whole.common, status(whole)),
        Command::Version(whole) => (&whole.common, version(whole)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell_error(common, &error);
            ExitCode::FAILURE
        }
    }
}

fn add(attach: &Attach) -> Result<()> {
    let network = setup::network(&attach.common, &attach.network)?;
    let on = setup::attachment(attach, false)?;
    for name in capabilities::unclaimed(&network, &on.capabilities) {
        note(&format!(
            "capability {name} goes to no plugin: none has \"capabilities\": {{\"{name}\": true}}"
        ));
    }
    let result = runner(&attach.common).add(&network, &on)?;
    print(&format!("{result:#}"));
    Ok(())
}

fn check(attach: &Attach) -> Result<()> {
    let network = setup::network(&attach.common, &attach.network)?;
    let runner = runner(&attach.common);
    let on = runner.recall(&network, setup::attachment(attach, false)?);
    let outcome = runner.check(&network, &on)?;
    tell(&attach.common, Verb::Check, &network.name, &outcome);
    Ok(())
}

fn del(attach: &Attach) -> Result<()> {
    let network = setup::network(&attach.common, &attach.network)?;
    let runner = runner(&attach.common);
    let on = runner.recall(&network, setup::attachment(attach, true)?);
    runner.del(&network, &on)?;
    tell(&attach.common, Verb::Del, &network.name, &Outcome::Done);
    Ok(())
}

fn gc(args: &Gc) -> Result<()> {
    let network = setup::network(&args.common, &args.network)?;
    let runner = runner(&args.common);
    let valid = setup::valid_attachments(args, &network, &runner.cache)?;
    let outcome = runner.gc(&network, valid.as_deref())?;
    tell(&args.common, Verb::Gc, &network.name, &outcome);
    Ok(())
}

fn status(whole: &Whole) -> Result<()> {
    let network = setup::network(&whole.common, &whole.network)?;
    let outcome = runner(&whole.common).status(&network)?;
    tell(&whole.common, Verb::Status, &network.name, &outcome);
    Ok(())
}

fn version(whole: &Whole) -> Result<()> {
    let network = setup::network(&whole.common, &whole.network)?;
    let versions = runner(&whole.common).versions(&network)?;
    let wanted = network.version()?.to_string();
    if whole.common.json {
        let list = |v: &Versions| json!({"plugin": v.plugin, "path": v.path, "supportedVersions": v.supported});
        let plugins: Vec<Value> = versions.iter().map(list).collect();
        print(&format!(
            "{:#}",
            json!({"network": network.name, "cniVersion": wanted, "plugins": plugins})
        ));
    } else {
        let width = versions
            .iter()
            .map(|v| v.plugin.len())
            .max()
            .unwrap_or_default();
        for Versions {
            plugin,
            path,
            supported,
        } in &versions
        {
            print(&format!(
                "{plugin:width$}  {}  {}",
                supported.join(" "),
                path.display()
            ));
        }
    }
    let lacking = versions.iter().filter(|v| !v.supported.contains(&wanted));
    let lacking = lacking.map(|v| {
        Error::config(
            &network.name,
            format!("plugin {} does not support cniVersion {wanted}", v.plugin),
        )
    });
    Error::join(lacking.collect()).map_or(Ok(()), Err)
}

fn runner(common: &Common) -> Runner<'static> {
    setup::runner(common, Some(if common.trace { &Trace } else { &Quiet }))
}

/// Shows everything.
struct Trace;

/// Passes on what plugins write to stderr, as libcni does; after a failure it is part of the error.
struct Quiet;

impl Observer for Quiet {
    fn request(&self, _: &Request, _: &Path) {}

    fn answer(&self, _: &Request, answer: &Answer, _: Duration) {
        if answer.success && !answer.stderr.is_empty() {
            note(String::from_utf8_lossy(&answer.stderr).trim_end());
        }
    }
}

impl Observer for Trace {
    fn request(&self, request: &Request, program: &Path) {
        note(request_text(request, program).trim_end());
    }

    fn answer(&self, request: &Request, answer: &Answer, took: Duration) {
        note(answer_text(request, answer, took).trim_end());
    }
}

fn tell(common: &Common, verb: Verb, network: &str, outcome: &Outcome) {
    let skipped = match outcome {
        Outcome::Done => None,
        Outcome::Skipped(reason) => Some(reason),
    };
    if common.json {
        let mut document = json!({"network": network, "verb": verb.name(), "ok": true});
        if let (Some(reason), Some(object)) = (skipped, document.as_object_mut()) {
            object.insert("skipped".into(), json!(reason));
        }
        print(&format!("{document:#}"));
    } else if let Some(reason) = skipped {
        note(&format!("{verb} went to no plugin: {reason}"));
    }
}

fn tell_error(common: &Common, error: &Error) {
    if common.json {
        print(&format!("{:#}", json!({ "error": error.to_json() })));
    }
    note(&format!("cnictl: {error}"));
}

/// A line on stdout. Nobody may be reading any more, which is no reason to fail.
fn print(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
