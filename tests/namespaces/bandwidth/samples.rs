//! The reference's recorded answers and the kernel's state after them.

use std::ops::Deref;

use sandbox::Topology;
use sandbox::plugin::{Answer, Call};
use serde_json::{Value, json};

use super::pod::{IFB, OURS, Pod, error, succeeds};
use crate::recording::Recording;

struct Sample(Recording);

impl Deref for Sample {
    type Target = Recording;

    fn deref(&self) -> &Recording {
        &self.0
    }
}

impl Sample {
    fn new(name: &str) -> Sample {
        Sample(Recording::new("bandwidth", name))
    }

    /// Sends the recorded request for the pod's namespace.
    fn run(&self, pod: &Pod, verb: &str) -> Answer {
        let mut call = Call::bare(OURS);
        for (key, value) in self.env(verb) {
            call = match key.as_str() {
                "CNI_NETNS" => call.netns(pod.container()),
                _ => call.env(&key, &value),
            };
        }
        call.stdin(self.stdin(verb)).run(pod.host()).unwrap()
    }

    /// The recorded qdisc of a link, as `tc -raw` prints it without details.
    fn qdisc(&self, link: &str) -> String {
        let lines = self.text("tc-qdisc-raw.txt");
        let dev = format!(" dev {link} root ");
        let line = lines.lines().find(|line| line.contains(&dev)).unwrap();
        let line = line
            .replace("/1 mpu 0b", "")
            .replace("linklayer unspec", "")
            .replace(&format!("dev {link} "), "");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// ADD gives the recorded result, but for the ifb's hardware address.
    fn add(&self, pod: &Pod) {
        let answer = self.run(pod, "ADD");
        assert_eq!(
            (answer.code, answer.stderr.as_str()),
            (Some(0), ""),
            "{answer:?}"
        );
        let without_mac = |text: &str| {
            let mut lines: Vec<&str> = text.lines().collect();
            let name = lines.iter().position(|l| l.contains(IFB)).unwrap_or(0);
            for near in [name.saturating_sub(1), name + 1] {
                if lines[near].contains("\"mac\"") {
                    lines[near] = "";
                }
            }
            lines.join("\n")
        };
        assert_eq!(
            without_mac(&answer.stdout),
            without_mac(&self.text("ADD.stdout"))
        );
    }
}

#[track_caller]
fn assert_qdisc(pod: &Pod, sample: &Sample, link: &str) {
    assert_eq!(pod.root(link), sample.qdisc(link), "{link}");
}

/// The one filter on veth0 is the recorded one with the first of its two actions: the second is
/// never reached.
fn assert_filter(pod: &Pod, sample: &Sample) {
    let mut recorded = sample.json("tc-filter.json");
    let actions = recorded[2]["options"]["actions"].as_array_mut().unwrap();
    actions.truncate(1);
    let filters = pod.sh("tc -j filter show dev veth0 ingress");
    let mut filters: Value = serde_json::from_str(&filters).unwrap();
    for filters in [&mut recorded, &mut filters] {
        filters[2]["options"]["actions"][0]["index"].take();
    }
    assert_eq!(filters, recorded);
}

/// Both directions are limited as recorded.
#[track_caller]
fn assert_limits(pod: &Pod, sample: &Sample) {
    assert_qdisc(pod, sample, "veth0");
    assert_qdisc(pod, sample, IFB);
    assert_filter(pod, sample);
}

#[track_caller]
fn is_set_checked_and_removed(pod: &Pod, sample: &Sample) {
    let before = pod.state();
    sample.add(pod);
    assert_limits(pod, sample);
    succeeds(&sample.run(pod, "CHECK"));
    succeeds(&sample.run(pod, "DEL"));
    assert_eq!(pod.state(), before);
}

#[test]
fn both_limits_are_set_checked_and_removed_as_recorded() {
    let (sample, pod) = (Sample::new("16-bandwidth-both"), Pod::new());
    is_set_checked_and_removed(&pod, &sample);
}

#[test]
fn limits_of_the_runtime_are_set_and_removed_as_recorded() {
    let sample = Sample::new("17-bandwidth-runtimeConfig-0.3.1");
    let pod = Pod::new();
    let before = pod.state();
    sample.add(&pod);
    assert_limits(&pod, &sample);
    succeeds(&sample.run(&pod, "DEL"));
    assert_eq!(pod.state(), before);
}

#[test]
fn containerd_s_burst_gives_the_recorded_result_with_a_burst_that_follows_the_rate() {
    let sample = Sample::new("18-bandwidth-containerd-1Mbit-10Mbit-MaxUint32-burst");
    let pod = Pod::new();
    sample.add(&pod);
    assert_filter(&pod, &sample);
    for (link, rate, burst) in [("veth0", "1Mbit", "3028b"), (IFB, "10Mbit", "12500b")] {
        assert!(sample.qdisc(link).contains(&format!("rate {rate} ")));
        let qdisc = pod.root(link);
        assert!(
            qdisc.contains(&format!("rate {rate} burst {burst}")),
            "{qdisc}"
        );
    }
}

#[test]
fn a_hundred_gigabits_from_a_container_on_a_bridge_are_set_as_recorded() {
    let sample = Sample::new("19-bandwidth-egress-only-100Gbit-bridge");
    let pod = Pod::in_net(OURS, &Topology::new().bridge("cni0"));
    is_set_checked_and_removed(&pod, &sample);
}

#[test]
fn a_changed_rate_fails_check_as_recorded() {
    let sample = Sample::new("27-check-drift-messages-bandwidth");
    let pod = Pod::new();
    sample.add(&pod);
    assert_filter(&pod, &sample);
    pod.sh("tc qdisc change dev veth0 root handle 1: tbf rate 9mbit burst 100000 limit 125000");
    let (code, text) = error(&sample.run(&pod, "CHECK"));
    assert_eq!(code, 101);
    assert!(text.contains("rate of the root qdisc of veth0"), "{text}");
}

#[test]
fn verbs_without_limits_answer_as_recorded() {
    let pod = Pod::new();
    for (name, verb) in [
        ("51-verb-VERSION-bandwidth", "VERSION"),
        ("52-verb-STATUS-bandwidth", "STATUS"),
        ("54-verb-GC-bandwidth", "GC"),
    ] {
        let sample = Sample::new(name);
        let answer = sample.run(&pod, verb);
        assert_eq!(answer.code, Some(0), "{name}");
        // In VERSION's answer `cniVersion` is the request's, as the spec wants; the reference's is its
        // newest.
        let versions = |text: &str| {
            let answer: Value = serde_json::from_str(text).unwrap_or(json!({}));
            answer["supportedVersions"].clone()
        };
        let recorded = sample.text(&format!("{verb}.stdout"));
        assert_eq!(versions(&answer.stdout), versions(&recorded), "{name}");
    }
}

#[test]
fn errors_have_the_recorded_code_and_leave_nothing() {
    let pod = Pod::new();
    let before = pod.state();
    for (name, verbs, code) in [
        ("53-verb-STATUS-1.0.0-bandwidth", &["STATUS"][..], 1),
        ("55-verb-GC-1.0.0-bandwidth", &["GC"], 1),
        ("57-verb-unknown-UPDATE-bandwidth", &["UPDATE"], 4),
        ("58-error-all-env-missing-bandwidth", &["ADD"], 4),
        ("59-error-empty-stdin-bandwidth", &["ADD"], 6),
        (
            "60-error-unknown-cniVersion-bandwidth",
            &["ADD", "CHECK", "DEL"],
            1,
        ),
        // The reference's own code here is 999, for everything.
        ("61-error-no-prevResult-bandwidth", &["ADD", "CHECK"], 7),
        // The reference panics at these two.
        ("64-panic-bandwidth-no-limits-no-prevResult", &["ADD"], 7),
        ("65-panic-bandwidth-interfaces-null", &["ADD"], 6),
    ] {
        let sample = Sample::new(name);
        for verb in verbs {
            let answer = sample.run(&pod, verb);
            assert_eq!(error(&answer).0, code, "{name} {verb}");
            let recorded = sample.text(&format!("{verb}.stdout"));
            if let Ok(recorded) = serde_json::from_str::<Value>(&recorded)
                && recorded["code"] != 999
            {
                assert_eq!(recorded["code"], code, "{name} {verb}");
            }
        }
    }
    assert_eq!(pod.state(), before);
    succeeds(&Sample::new("61-error-no-prevResult-bandwidth").run(&pod, "DEL"));
}

#[test]
fn without_a_verb_the_versions_go_to_stderr_as_recorded() {
    let (sample, pod) = (Sample::new("56-verb-none-bandwidth"), Pod::new());
    let answer = Call::bare(OURS).run(pod.host()).unwrap();
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), ""));
    let last = |text: &str| text.lines().last().unwrap().to_owned();
    assert_eq!(last(&answer.stderr), last(&sample.text("NONE.stderr")));
}
