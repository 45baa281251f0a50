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
use crate::error::Error;
use crate::sys::append::append;

/// Bounds in bytes: of names and paths, and of sentences. Together they keep a line under
/// [`super::line::LONGEST`].
const NAME: usize = 200;
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
    /// What the verb says.
    pub log: Log,
}

/// Whom the lines are about, from the environment as it is: also a request that is refused for its
/// environment has them.
struct Subject {
    verb: String,
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
    /// file that cannot be written is told on stderr, and hurts nobody.
    ///
    /// `variable` gives the environment.
    pub fn write(&self, refusal: Option<&Error>, variable: impl Fn(&str) -> Option<String>) {
        let remarks = self.log.take();
        let level = level(&remarks, refusal);
        let threshold = self.settings.threshold;
        let warns = threshold.shows(Level::Warning) && !remarks.warnings.is_empty();
        if !warns && !threshold.shows(level) {
            return;
        }
        let subject = Subject::of(variable);
        let mut lines = self.lines(&remarks, refusal, &subject);
        if let Some(path) = &self.settings.file
            && let Err(error) = append(path, lines.concat().as_bytes())
        {
            lines.push(self.warning(SystemTime::now(), &error, &subject));
        }
        let mut stderr = io::stderr().lock();
        for line in lines {
            // Nobody is left to tell when stderr is closed.
            let _ = stderr.write_all(line.as_bytes());
        }
    }

    /// The lines that are to be written: warnings as they came, then the outcome.
    fn lines(&self, remarks: &Remarks, refusal: Option<&Error>, subject: &Subject) -> Vec<String> {
        let threshold = self.settings.threshold;
        let warnings = remarks.warnings.iter();
        let mut lines: Vec<String> = warnings
            .filter(|_| threshold.shows(Level::Warning))
            .map(|warning| self.warning(warning.at, &warning.text, subject))
            .collect();
        if threshold.shows(level(remarks, refusal)) {
            lines.push(self.outcome(remarks, refusal, subject));
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

/// Completes a line with whom it is about.
fn end_line(line: Line, network: &str, subject: &Subject) -> String {
    let Subject {
        verb: _,
        container,
        ifname,
        netns,
        trace,
    } = subject;
    let mut line = line
        .with("network", network, NAME)
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
            container: get("CNI_CONTAINERID"),
            ifname: get("CNI_IFNAME"),
            netns: get("CNI_NETNS"),
            trace: Trace::parse(&get(trace::VARIABLE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::error::Code;
    use crate::log::level::Threshold;
    use crate::log::line::LONGEST;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn report(level: &str) -> Report {
        let mut report = Report::new("portmap");
        report.network = "podnet".into();
        report.settings.threshold = Threshold::from_text(level).unwrap();
        report
    }

    fn subject(netns: &str, trace: &str) -> Subject {
        Subject::of(|name| {
            let pairs = [
                ("CNI_COMMAND", "ADD"),
                ("CNI_CONTAINERID", "3f2a"),
                ("CNI_IFNAME", "eth0"),
                ("CNI_NETNS", netns),
                ("TRACEPARENT", trace),
            ];
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// The lines without what is different each time.
    fn lines(report: &Report, refusal: Option<&Error>, subject: &Subject) -> Vec<String> {
        let remarks = report.log.take();
        let all = report.lines(&remarks, refusal, subject);
        all.iter()
            .map(|line| {
                let words = line.trim_end().split(' ');
                let is_fixed =
                    |word: &&str| !word.starts_with("time=") && !word.starts_with("duration_ms=");
                words.filter(is_fixed).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn a_line_says_what_was_changed_for_whom_in_which_trace() {
        let report = report("info");
        report.log.changed("mapped 8080/tcp by iptables");
        report.log.changed("set route_localnet of cni0");
        let expected = "level=info plugin=portmap verb=ADD outcome=changed \
                        changed=\"mapped 8080/tcp by iptables; set route_localnet of cni0\" \
                        network=podnet container=3f2a interface=eth0 netns=/run/netns/x \
                        trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 \
                        trace_flags=01";
        let subject = subject("/run/netns/x", TRACE);
        assert_eq!(lines(&report, None, &subject), [expected]);
    }

    #[test]
    fn a_refusal_has_the_error_and_what_was_changed_all_the_same() {
        let report = report("error");
        report.log.changed("removed bwp1");
        report.log.warn("not shown at this level");
        let error = Error::new(Code::System, "delete bwp2").with_details("EPERM");
        let expected = "level=error plugin=portmap verb=ADD outcome=refused code=100 \
                        msg=\"delete bwp2\" details=EPERM changed=\"removed bwp1\" \
                        network=podnet container=3f2a interface=eth0";
        let subject = subject("", "not a trace");
        assert_eq!(lines(&report, Some(&error), &subject), [expected]);
    }

    #[test]
    fn warnings_have_lines_of_their_own_and_nothing_changed_is_told_at_debug() {
        let rest = "network=podnet container=3f2a interface=eth0";
        let warning = format!("level=warning plugin=portmap verb=ADD msg=\"look here\" {rest}");
        let unchanged = format!("level=debug plugin=portmap verb=ADD outcome=unchanged {rest}");
        for (level, expected) in [
            ("debug", &[warning.as_str(), &unchanged][..]),
            ("info", &[&warning]),
            ("warning", &[&warning]),
            ("error", &[]),
            ("panic", &[]),
        ] {
            let report = report(level);
            report.log.warn("look here");
            assert_eq!(lines(&report, None, &subject("", "")), expected, "{level}");
        }
    }

    #[test]
    fn a_line_says_when_it_was_and_how_long_the_request_took() {
        let report = report("debug");
        let all = report.lines(&Remarks::default(), None, &subject("", ""));
        let value = |key| {
            let words = all.iter().flat_map(|line| line.split(' '));
            let mut found = words.filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            found.next().unwrap().to_owned()
        };
        assert!(value("time").ends_with('Z') && value("time").len() == 27);
        let (whole, fraction) = value("duration_ms")
            .split_once('.')
            .map(|(whole, fraction)| (whole.to_owned(), fraction.to_owned()))
            .unwrap();
        assert!(whole.parse::<u32>().unwrap() < 60_000 && fraction.len() == 3);
        let at = clock::rfc3339(UNIX_EPOCH);
        let warning = report.warning(UNIX_EPOCH, "w", &subject("", ""));
        assert!(warning.starts_with(&format!("time={at} level=warning ")));
    }

    #[test]
    fn the_longest_line_still_goes_through_a_pipe_in_one_piece() {
        let long = "\u{1}".repeat(10_000);
        let mut report = report("debug");
        report.network = long.clone();
        report.log.changed(&long);
        let error = Error::new(Code::System, long.clone()).with_details(&long);
        let subject = Subject::of(|name| match name {
            "TRACEPARENT" => Some(TRACE.to_owned()),
            _ => Some(long.clone()),
        });
        let all = report.lines(&report.log.take(), Some(&error), &subject);
        assert!(all[0].len() <= LONGEST, "{}", all[0].len());
        assert!(all[0].ends_with(" trace_flags=01\n"), "{}", all[0]);
    }

    #[test]
    fn a_file_gets_the_lines() {
        let name = format!("report-{}.log", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut report = report("info");
        report.settings.file = Some(path.clone());
        report.write(None, |_| None);
        assert!(!path.exists(), "nothing was said");
        report.log.changed("a");
        report.settings.threshold = Threshold::from_text("debug").unwrap();
        report.write(None, |_| None);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains(" outcome=changed changed=a "), "{text}");
        report.settings.file = Some(Path::new("/dev/null/x").into());
        report.write(None, |_| None);
    }
}
