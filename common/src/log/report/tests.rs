//! What the lines of a report say.

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
    report.settings.level = Threshold::from_text(level);
    report
}

fn subject(netns: &str, trace: &str) -> Subject {
    Subject::of(|name| {
        let pairs = [
            ("CNI_COMMAND", "ADD"),
            ("CNI_CONTAINERID", "3f2a"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", netns),
            (
                "CNI_ARGS",
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
            ),
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
        .map(|(_, line)| {
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
                    network=podnet pod=shop/web-0 container=3f2a interface=eth0 netns=/run/netns/x \
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
                    network=podnet pod=shop/web-0 container=3f2a interface=eth0";
    let subject = subject("", "not a trace");
    assert_eq!(lines(&report, Some(&error), &subject), [expected]);
}

#[test]
fn warnings_have_lines_of_their_own_and_nothing_changed_is_told_at_debug() {
    let rest = "network=podnet pod=shop/web-0 container=3f2a interface=eth0";
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
        let words = all.iter().flat_map(|(_, line)| line.split(' '));
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
        "CNI_ARGS" => Some(format!("K8S_POD_NAMESPACE={long};K8S_POD_NAME={long}")),
        _ => Some(long.clone()),
    });
    let all = report.lines(&report.log.take(), Some(&error), &subject);
    let line = &all[0].1;
    assert!(line.len() <= LONGEST, "{}", line.len());
    assert!(line.ends_with(" trace_flags=01\n"), "{line}");
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
    report.settings.level = Threshold::from_text("debug");
    report.write(None, |_| None);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(text.contains(" outcome=changed changed=a "), "{text}");
    report.settings.file = Some(Path::new("/dev/null/x").into());
    report.write(None, |_| None);
}
