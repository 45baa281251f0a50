//! What is known of a request when it is over, and the lines that it leaves.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::{Instant, SystemTime};

use super::clock;
use super::level::Level;
use super::line::Line;
use super::settings::Settings;
use super::trace::{self, Trace};
use super::{Log, Remarks};
use crate::cni_args;
use crate::error::Error;
use crate::sys::append::append;

/// Bounds in bytes: of names and paths, and of sentences. Together they keep a line under
/// [`super::line::LONGEST`].
const NAME: usize = 200;
/// A namespace's name has up to 63 bytes, a pod's 253.
const POD: usize = 63 + 1 + 253;
const SENTENCE: usize = 800;

/// What is known of a request so far. Nothing is written, nor read for that, before [`Report::write`].
#[derive(Debug)]
pub struct Report {
    plugin: &'static str,
    start: Instant,
    /// The network's name.
    pub network: String,
    /// Which lines are written, and where.
    pub settings: Settings,
    /// What the verb reports.
    pub log: Log,
}

/// The attachment that the lines are about, from the environment as it is: also a request that is refused for its
/// environment has them.
struct Subject {
    verb: String,
    pod: String,
    container: String,
    ifname: String,
    netns: String,
    trace: Option<Trace>,
}

impl Report {
    /// A request of a plugin that begins now.
    pub fn new(plugin: &'static str) -> Report {
        Report {
            plugin,
            start: Instant::now(),
            network: String::new(),
            settings: Settings::default(),
            log: Log::default(),
        }
    }

    /// Writes the lines of the request, which is over: to stderr, and to the file if there is one. A
    /// file that cannot be written is reported on stderr, and is not a failure.
    ///
    /// `variable` gives the environment.
    pub fn write(&self, refusal: Option<&Error>, variable: impl Fn(&str) -> Option<String>) {
        let remarks = self.log.take();
        let warns = self.is_shown(Level::Warning) && !remarks.warnings.is_empty();
        if !warns && !self.is_shown(level(&remarks, refusal)) {
            return;
        }
        let subject = Subject::of(variable);
        let mut lines = self.lines(&remarks, refusal, &subject);
        if let Some(path) = &self.settings.file
            && let Err(error) = append(path, self.filed(&lines).as_bytes())
        {
            let line = self.warning(SystemTime::now(), &error, &subject);
            lines.push((Level::Warning, line));
        }
        let mut stderr = io::stderr().lock();
        for (_, line) in lines.iter().filter(|(l, _)| self.settings.tells(*l)) {
            // A closed stderr leaves no way to report.
            let _ = stderr.write_all(line.as_bytes());
        }
    }

    fn filed(&self, lines: &[(Level, String)]) -> String {
        let filed = lines.iter().filter(|(l, _)| self.settings.files(*l));
        filed.map(|(_, line)| line.as_str()).collect()
    }

    fn is_shown(&self, level: Level) -> bool {
        self.settings.tells(level) || self.settings.files(level)
    }

    /// The lines that are to be written anywhere: warnings as they came, then the outcome.
    fn lines(
        &self,
        remarks: &Remarks,
        refusal: Option<&Error>,
        subject: &Subject,
    ) -> Vec<(Level, String)> {
        let warnings = remarks.warnings.iter();
        let mut lines: Vec<(Level, String)> = warnings
            .filter(|_| self.is_shown(Level::Warning))
            .map(|warning| (warning.at, &warning.text))
            .map(|(at, text)| (Level::Warning, self.warning(at, text, subject)))
            .collect();
        let level = level(remarks, refusal);
        if self.is_shown(level) {
            lines.push((level, self.outcome(remarks, refusal, subject)));
        }
        lines
    }

    fn warning(&self, at: SystemTime, text: impl Display, subject: &Subject) -> String {
        let line = self.start_line(at, Level::Warning, subject);
        end_line(line.with("msg", text, SENTENCE), &self.network, subject)
    }

    fn start_line(&self, at: SystemTime, level: Level, subject: &Subject) -> Line {
        Line::default()
            .with("time", clock::rfc3339(at), NAME)
            .with("level", level.name(), NAME)
            .with("plugin", self.plugin, NAME)
            .with("verb", &subject.verb, NAME)
    }

    fn outcome(&self, remarks: &Remarks, refusal: Option<&Error>, subject: &Subject) -> String {
        let milliseconds = self.start.elapsed().as_secs_f64() * 1e3;
        let line = self.start_line(SystemTime::now(), level(remarks, refusal), subject);
        let line = match refusal {
            Some(Error { code, msg, details }) => line
                .with("outcome", "refused", NAME)
                .with("code", code.number(), NAME)
                .with("msg", msg, SENTENCE)
                .with("details", details, SENTENCE),
            None if remarks.changes.is_empty() => line.with("outcome", "unchanged", NAME),
            None => line.with("outcome", "changed", NAME),
        };
        let line = line
            .with("changed", remarks.changes.join("; "), SENTENCE)
            .with("duration_ms", format!("{milliseconds:.3}"), NAME);
        end_line(line, &self.network, subject)
    }
}

fn level(remarks: &Remarks, refusal: Option<&Error>) -> Level {
    match refusal {
        Some(_) => Level::Error,
        None if remarks.changes.is_empty() => Level::Debug,
        None => Level::Info,
    }
}

/// Completes a line with the attachment that it is about.
fn end_line(line: Line, network: &str, subject: &Subject) -> String {
    let Subject {
        verb: _,
        pod,
        container,
        ifname,
        netns,
        trace,
    } = subject;
    let mut line = line
        .with("network", network, NAME)
        .with("pod", pod, POD)
        .with("container", container, NAME)
        .with("interface", ifname, NAME)
        .with("netns", netns, NAME);
    if let Some(Trace {
        trace_id,
        span_id,
        flags,
    }) = trace
    {
        line = line
            .with("trace_id", trace_id, NAME)
            .with("span_id", span_id, NAME)
            .with("trace_flags", flags, NAME);
    }
    line.text()
}

impl Subject {
    fn of(variable: impl Fn(&str) -> Option<String>) -> Subject {
        let get = |name| variable(name).unwrap_or_default();
        Subject {
            verb: get("CNI_COMMAND"),
            pod: cni_args::pod(&get("CNI_ARGS")).unwrap_or_default(),
            container: get("CNI_CONTAINERID"),
            ifname: get("CNI_IFNAME"),
            netns: get("CNI_NETNS"),
            trace: Trace::parse(&get(trace::VARIABLE)),
        }
    }
}

#[cfg(test)]
mod tests;
