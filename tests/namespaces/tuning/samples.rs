//! The reference's recorded answers and the kernel's state after them.

use std::fs;
use std::ops::Deref;

use sandbox::plugin::Answer;
use sandbox::snapshot::Link;
use serde_json::{Value, json};

use super::pod::{Pod, error};
use super::state::assert_state;
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
        Sample(Recording::new("tuning", name))
    }

    /// Sends the recorded request, with a directory of backups of the test's own.
    fn run(&self, pod: &Pod, verb: &str) -> Answer {
        let mut call = pod.call(verb);
        for (key, value) in self.env(verb) {
            if key != "CNI_NETNS" && key != "CNI_PATH" {
                call = call.env(&key, &value);
            }
        }
        let mut request = self.json(&format!("{verb}.request.json"));
        request["dataDir"] = json!(pod.data_dir());
        pod.finish(call, &request)
    }

    /// The recorded link, `promiscuity` following from its flag; what was not recorded is as the pod has it.
    fn link(&self, pod: &Pod, file: &str) -> Link {
        let link = self.json(file);
        let promisc = link["promisc"].as_bool().unwrap();
        Link {
            mac: link["mac"].as_str().unwrap().to_owned(),
            mtu: link["mtu"].as_u64().unwrap(),
            txqlen: link["txqlen"].as_u64().unwrap(),
            promisc,
            allmulti: link["allmulti"].as_bool().unwrap(),
            promiscuity: u64::from(promisc),
            ..pod.link().unwrap()
        }
    }
}

/// A result with hardware addresses in the kernel's spelling.
fn canonical(mut result: Value) -> Value {
    for interface in result["interfaces"].as_array_mut().into_iter().flatten() {
        let mac = interface["mac"].as_str().unwrap_or_default().to_lowercase();
        interface["mac"] = json!(mac);
    }
    result
}

fn add_as_recorded(sample: &Sample, pod: &Pod) {
    let answer = sample.run(pod, "ADD");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    let result: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(result, canonical(sample.json("ADD.stdout")));
    assert_eq!(pod.link(), Some(sample.link(pod, "eth0.json")));
    let backup: Value = serde_json::from_str(&fs::read_to_string(pod.backup()).unwrap()).unwrap();
    for (key, value) in sample.json("backup.json").as_object().unwrap() {
        assert_eq!(&backup[key], value, "{key} in {backup}");
    }
}

#[test]
fn everything_at_once_is_set_and_restored_as_recorded() {
    let (sample, pod) = (Sample::new("21-tuning-all"), Pod::new());
    let before = pod.state();
    add_as_recorded(&sample, &pod);
    for line in sample.text("sysctl.txt").lines() {
        let (key, value) = line.split_once(" = ").unwrap();
        assert_eq!(pod.sysctl(key), value, "{key}");
    }
    // The reference fails here, over the spelling of the MAC.
    let check = sample.run(&pod, "CHECK");
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), ""));
    let del = sample.run(&pod, "DEL");
    assert_eq!((del.code, del.stdout.as_str()), (Some(0), ""));
    assert_eq!(pod.link(), Some(sample.link(&pod, "eth0.afterDEL.json")));
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
}

#[test]
fn runtime_config_wins_over_cni_args_and_those_over_the_configuration_as_recorded() {
    let sample = Sample::new("22-tuning-mac-precedence-conf+CNI_ARGS+runtimeConfig");
    let pod = Pod::new();
    add_as_recorded(&sample, &pod);
    let check = sample.run(&pod, "CHECK");
    assert_eq!((check.code, check.stdout.as_str()), (Some(0), ""));
    assert_eq!(sample.run(&pod, "DEL").code, Some(0));
    assert_eq!(pod.link(), Some(sample.link(&pod, "eth0.afterDEL.json")));
}

#[test]
fn a_drifted_sysctl_fails_check_as_recorded() {
    let (sample, pod) = (Sample::new("28-check-drift-messages-tuning"), Pod::new());
    add_as_recorded(&sample, &pod);
    pod.set_sysctl("net/ipv4/conf/eth0/arp_filter", "0");
    let (code, text) = error(&sample.run(&pod, "CHECK"));
    assert_eq!(code, 101);
    let drift = "sysctl net/ipv4/conf/eth0/arp_filter: expected 1, found 0";
    assert!(text.ends_with(&format!(": {drift}")), "{text}");
}

#[test]
fn sysctls_in_args_alone_are_served_where_the_reference_panics() {
    let sample = Sample::new("63-panic-tuning-args.cni.sysctl-only");
    let pod = Pod::new();
    let before = pod.state();
    let answer = sample.run(&pod, "ADD");
    assert_eq!(answer.code, Some(0), "{answer:?}");
    assert_eq!(pod.sysctl("net/core/somaxconn"), "500");
    for verb in ["CHECK", "DEL"] {
        let answer = sample.run(&pod, verb);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(0), ""),
            "{verb}"
        );
    }
    assert_state!(pod.state(), before);
}
