//! A pod to tune: a host, a container with `eth0`, and a directory of backups of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sandbox::plugin::{Answer, CONTAINER_ID, Call};
use sandbox::topology::Net;
use sandbox::{Node, Topology};
use serde_json::{Value, json};

use super::state::{Link, State, link_in, sysctls};

/// Debian's build of the reference, release 1.1.1.
pub const REFERENCE: &str = "/usr/lib/cni/tuning";

/// Our plugin.
pub const OURS: &str = "tuning";

/// A directory of one test, removed by Drop.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tuning-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Pod {
    pub net: Net,
    pub scratch: Scratch,
    pub plugin: &'static str,
}

impl Pod {
    pub fn new() -> Pod {
        Pod::of(OURS)
    }

    /// A pod tuned by the plugin of that name or path.
    pub fn of(plugin: &'static str) -> Pod {
        Pod {
            net: Topology::new().build().unwrap(),
            scratch: Scratch::new(),
            plugin,
        }
    }

    pub fn container(&self) -> &Node {
        &self.net.containers[0]
    }

    pub fn data_dir(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// The backup of the container's interface.
    pub fn backup(&self) -> PathBuf {
        self.data_dir().join(format!("{CONTAINER_ID}_eth0.json"))
    }

    /// A configuration: the keys that every one has, then `keys` over them.
    pub fn conf(&self, keys: Value) -> Value {
        let mut conf = json!({
            "cniVersion": "1.0.0",
            "name": "net1",
            "type": "tuning",
            "dataDir": self.data_dir(),
        });
        conf["prevResult"] = json!({
            "cniVersion": keys.get("cniVersion").unwrap_or(&json!("1.0.0")),
            "interfaces": [
                {"name": "veth0", "mac": "02:00:00:00:00:0a"},
                {"name": "eth0", "mac": "02:00:00:00:00:0c", "sandbox": "/run/netns/cont"},
            ],
            "ips": [{"interface": 1, "address": "10.22.0.2/16", "gateway": "10.22.0.1"}],
        });
        merge(&mut conf, keys);
        conf
    }

    /// A call for the container, its stdin not yet set.
    pub fn call(&self, verb: &str) -> Call {
        Call::new(self.plugin, verb).netns(self.container())
    }

    /// Runs a verb with [`Pod::conf`] of the keys.
    pub fn run(&self, verb: &str, keys: Value) -> Answer {
        self.finish(self.call(verb), &self.conf(keys))
    }

    /// Runs a call with a configuration.
    pub fn finish(&self, call: Call, conf: &Value) -> Answer {
        call.stdin(conf.to_string()).run(&self.net.host).unwrap()
    }

    /// Runs ADD, which must succeed, and gives its result.
    #[track_caller]
    pub fn add(&self, keys: Value) -> Value {
        let answer = self.run("ADD", keys);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// Runs CHECK, which must succeed and say nothing.
    #[track_caller]
    pub fn check(&self, keys: Value) {
        succeeds(&self.run("CHECK", keys));
    }

    /// Runs DEL, which must succeed and say nothing.
    #[track_caller]
    pub fn del(&self, keys: Value) {
        succeeds(&self.run("DEL", keys));
    }

    pub fn state(&self) -> State {
        State {
            link: self.link(),
            sysctls: self.container().run(sysctls),
        }
    }

    /// What `ip` says of `eth0`.
    pub fn link(&self) -> Option<Link> {
        link_in(self.container())
    }

    pub fn ip<const N: usize>(&self, line: [&str; N]) {
        let mut whole = vec!["ip"];
        whole.extend(line);
        self.container().try_sh(&whole).unwrap();
    }

    pub fn sysctl(&self, key: &str) -> String {
        self.container().sysctl(key).unwrap()
    }

    pub fn set_sysctl(&self, key: &str, value: &str) {
        self.container().set_sysctl(key, value).unwrap();
    }

    /// The names of the files in the directory of backups.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.data_dir()) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }
}

fn merge(conf: &mut Value, keys: Value) {
    let Value::Object(keys) = keys else {
        panic!("{keys}")
    };
    for (key, value) in keys {
        conf[key] = value;
    }
}

/// Asserts success without a word, but for what was changed.
#[track_caller]
pub fn succeeds(answer: &Answer) {
    let told = (answer.code, answer.stdout.as_str(), answer.alarms());
    assert_eq!(told, (Some(0), "", String::new()));
}

/// An answer that must be one JSON error: its code and its `msg` and `details` in one text.
#[track_caller]
pub fn error(answer: &Answer) -> (u64, String) {
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let error: Value = serde_json::from_str(&answer.stdout)
        .unwrap_or_else(|e| panic!("one JSON document expected ({e}): {answer:?}"));
    assert!(error["cniVersion"].is_string(), "{error}");
    let text = |key: &str| error[key].as_str().unwrap_or_default();
    let code = error["code"].as_u64().unwrap_or_else(|| panic!("{error}"));
    assert!(!text("msg").is_empty(), "{error}");
    (code, format!("{}: {}", text("msg"), text("details")))
}
