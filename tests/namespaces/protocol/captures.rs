//! What real clients sent, byte for byte but for the paths of their machine, and that we answer as
//! the reference did.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sandbox::Topology;
use sandbox::plugin::{Answer, Call};
use sandbox::topology::Net;
use serde_json::{Value, json};

use super::{PLUGINS, TESTDATA, error};

struct Recorded {
    plugin: String,
    verb: String,
    env: BTreeMap<String, String>,
    stdin: String,
    netns_exists: bool,
    rc: i64,
    stdout: String,
}

fn calls(file: &Path) -> Vec<Recorded> {
    let capture: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let text = |call: &Value, key: &str| call[key].as_str().unwrap().to_owned();
    let calls = capture["calls"].as_array().unwrap().iter();
    let calls = calls.map(|call| Recorded {
        plugin: text(call, "plugin"),
        verb: text(call, "command"),
        env: serde_json::from_value(call["env"].clone()).unwrap(),
        stdin: text(call, "stdin_raw"),
        netns_exists: call["netns_exists"].as_bool().unwrap(),
        rc: call["rc"].as_i64().unwrap(),
        stdout: text(call, "stdout_raw"),
    });
    calls
        .filter(|call| PLUGINS.contains(&call.plugin.as_str()))
        .collect()
}

/// Where the recorded paths are on this machine: each namespace is a container, and what plugins
/// keep is in a directory of the test's own.
struct Here {
    net: Net,
    dir: PathBuf,
    namespaces: Vec<String>,
}

impl Here {
    fn new(calls: &[Recorded], name: &str) -> Here {
        let mut namespaces: Vec<String> = calls
            .iter()
            .map(|call| call.env.get("CNI_NETNS").cloned().unwrap_or_default())
            .filter(|path| path.starts_with('/'))
            .collect();
        namespaces.sort();
        namespaces.dedup();
        let count = u8::try_from(namespaces.len()).unwrap().max(1);
        let net = Topology::new().containers(count).build().unwrap();
        for container in &net.containers {
            for ifname in ["eth1", "eth2"] {
                container.sh([
                    "ip",
                    "link",
                    "add",
                    ifname,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    &format!("p{ifname}"),
                ]);
            }
        }
        let dir = std::env::temp_dir().join(format!("captures-{}-{name}", std::process::id()));
        Here {
            net,
            dir,
            namespaces,
        }
    }

    /// A recorded text with this machine's paths.
    fn translate(&self, text: &str, netns_exists: bool) -> String {
        let dir = self.dir.display();
        let mut text = text.replace("/var/lib/e2e/state-", &format!("{dir}/state-"));
        for (namespace, container) in self.namespaces.iter().zip(&self.net.containers) {
            let path = match netns_exists {
                true => container.path(),
                false => self.dir.join("no-such-namespace"),
            };
            text = text.replace(namespace, path.to_str().unwrap());
        }
        text
    }

    fn replay(&self, call: &Recorded) -> Answer {
        let exists = call.netns_exists;
        let replayed = call
            .env
            .iter()
            .fold(Call::bare(&call.plugin), |replayed, (key, value)| {
                replayed.env(key, &self.translate(value, exists))
            });
        let mut stdin = self.translate(&call.stdin, exists);
        if !stdin.contains("\"dataDir\"") {
            // What tuning keeps where nothing is said is the machine's, not this test's.
            let dir = self.dir.join("state-default");
            stdin = stdin.replacen('{', &format!("{{\"dataDir\":{},", json!(dir)), 1);
        }
        replayed.stdin(stdin).run(&self.net.host).unwrap()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A recorded result as ours is: with the new MTU, which the reference leaves out.
fn expected(here: &Here, call: &Recorded) -> Value {
    let stdout = here.translate(&call.stdout, call.netns_exists);
    let mut result: Value = serde_json::from_str(&stdout).unwrap();
    let conf: Value = serde_json::from_str(&call.stdin).unwrap();
    if call.plugin == "tuning" && call.verb == "ADD" && conf["cniVersion"] == "1.1.0" {
        for interface in result["interfaces"].as_array_mut().unwrap() {
            if interface["name"] == call.env["CNI_IFNAME"].as_str()
                && !interface["sandbox"].is_null()
            {
                interface["mtu"] = conf["mtu"].clone();
            }
        }
    }
    if call.verb == "VERSION" {
        // The spec wants the request's version back.
        result["cniVersion"] = conf["cniVersion"].clone();
    }
    result
}

/// Replays one capture; gives the number of calls.
fn replay(file: &Path) -> usize {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let calls = calls(file);
    let here = Here::new(&calls, name);
    for (number, call) in calls.iter().enumerate() {
        let answer = here.replay(call);
        let told = format!(
            "{name} call {number} {} {}: {answer:?}",
            call.plugin, call.verb
        );
        assert_eq!(answer.code.map(i64::from), Some(call.rc), "{told}");
        if call.rc != 0 {
            error(&answer);
            assert!(answer.stderr.contains(" outcome=refused "), "{told}");
            assert_eq!(answer.stderr.lines().count(), 1, "{told}");
            continue;
        }
        assert_eq!(answer.stderr, "", "{told}");
        if call.stdout.is_empty() {
            assert_eq!(answer.stdout, "", "{told}");
        } else {
            let actual: Value = serde_json::from_str(&answer.stdout).unwrap();
            assert_eq!(actual, expected(&here, call), "{told}");
        }
    }
    calls.len()
}

#[test]
fn every_recorded_call_is_answered_as_the_reference_did() {
    let mut replayed = 0;
    for file in fs::read_dir(format!("{TESTDATA}/captures")).unwrap() {
        replayed += replay(&file.unwrap().path());
    }
    assert!(replayed >= 80, "{replayed}");
}

#[test]
fn a_pod_of_containerd_leaves_nothing() {
    // The second DEL of a pod comes with an empty namespace and without prevResult.
    let file = Path::new(TESTDATA).join("captures/containerd16-netns-gone-stop.json");
    let calls = calls(&file);
    let here = Here::new(&calls, "leaves-nothing");
    for call in &calls {
        let answer = here.replay(call);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        let files = fs::read_dir(here.dir.join("state-ctrd16/tuning")).map(Iterator::count);
        let left = files.unwrap_or(0);
        assert_eq!(
            left,
            usize::from(call.verb == "ADD"),
            "{}",
            json!(call.verb)
        );
    }
}
