//! A node with containers, each of them an attachment in libcni's cache.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use common::base64;
use sandbox::plugin::{Answer, Call};
use sandbox::topology::Net;
use sandbox::{Node, Topology};
use serde_json::{Map, Value, json};

pub(super) use crate::portmap::node::{Backend, on_every_backend};

/// The network's name.
pub const NETWORK: &str = "net1";

pub struct Place {
    pub net: Net,
    pub backend: Backend,
    pub directory: PathBuf,
    /// What the network's `portmap` has besides.
    keys: Map<String, Value>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// What a call of a command answered.
    pub fn of(answer: Answer) -> Said {
        Said {
            code: answer.code,
            stdout: answer.stdout,
            stderr: answer.stderr,
        }
    }

    /// The document of `--json`.
    #[track_caller]
    pub fn json(&self) -> Value {
        let document: Value = serde_json::from_str(&self.stdout).unwrap();
        assert_eq!(document["schema"], 1, "{self:?}");
        document
    }

    /// One word of each attachment: its `state`.
    #[track_caller]
    pub fn states(&self) -> Vec<String> {
        let document = self.json();
        let list = document["attachments"].as_array().unwrap().clone();
        list.iter()
            .map(|one| one["state"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Place {
    pub fn new(backend: Backend, containers: u8) -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("operators-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("cache/results")).unwrap();
        fs::create_dir(directory.join("run")).unwrap();
        backend.link_programs(&directory);
        Place {
            net: Topology::new().containers(containers).build().unwrap(),
            backend,
            directory,
            keys: Map::new(),
        }
    }

    /// The same with a key of the network's `portmap`.
    pub fn with(mut self, key: &str, value: Value) -> Place {
        self.keys.insert(key.to_owned(), value);
        self
    }

    /// The same with IPv4 conditions: packets from addresses that begin with 10.
    pub fn with_conditions(self) -> Place {
        let words = match self.backend {
            Backend::Nftables => json!(["ip", "saddr", "10.0.0.0/8"]),
            _ => json!(["-s", "10.0.0.0/8"]),
        };
        self.with("conditionsV4", words)
    }

    pub fn pod(&self, index: usize) -> &Node {
        &self.net.containers[index]
    }

    /// The container ID of a pod, as long as real ones.
    pub fn id(&self, index: usize) -> String {
        format!("{index}{}", "c0ffee".repeat(10))
    }

    pub fn cache_dir(&self) -> PathBuf {
        self.directory.join("cache")
    }

    /// What its plugins and commands have as `/run`.
    pub fn run_dir(&self) -> PathBuf {
        self.directory.join("run")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.directory.join("state")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub fn cache_file(&self, index: usize) -> PathBuf {
        let name = format!("{NETWORK}-{}-eth0", self.id(index));
        self.cache_dir().join("results").join(name)
    }

    /// What the runtime asks for every pod: one TCP port of all addresses, one UDP port of one.
    pub fn capabilities(&self, index: usize) -> Value {
        let port = 8000 + u16::try_from(index).unwrap();
        self.asking(&[port])
    }

    pub fn asking(&self, ports: &[u16]) -> Value {
        let tcp = |port: &u16| json!({"hostPort": port, "containerPort": 80, "protocol": "tcp"});
        let mut mappings: Vec<Value> = ports.iter().map(tcp).collect();
        mappings.extend(ports.first().map(|port| {
            json!({"hostPort": port + 1000, "containerPort": 53, "protocol": "udp",
                   "hostIP": "10.22.0.1"})
        }));
        json!({
            "portMappings": mappings,
            "bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 800_000,
                          "egressRate": 16_000_000, "egressBurst": 800_000},
        })
    }

    fn plugins(&self) -> Vec<Value> {
        let mut portmap = json!({"type": "portmap", "backend": self.backend.key(),
                                 "capabilities": {"portMappings": true}});
        portmap.as_object_mut().unwrap().extend(self.keys.clone());
        vec![
            json!({"type": "bridge", "bridge": "cni0"}),
            json!({"type": "tuning", "mtu": 1400, "dataDir": self.data_dir(),
                   "sysctl": {"net.core.somaxconn": "500"}}),
            portmap,
            json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}),
        ]
    }

    fn result(&self, index: usize) -> Value {
        let pod = self.pod(index);
        json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": pod.host_interface}, {"name": "eth0", "sandbox": "/n"}],
            "ips": [{"address": format!("{}/16", pod.ipv4), "interface": 1}],
        })
    }

    /// Writes a pod into the cache, as libcni does after ADD. Later pods are newer.
    pub fn remember(&self, index: usize, capabilities: &Value) {
        let netns = self.pod(index).path().display().to_string();
        let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": self.plugins()});
        let entry = json!({
            "kind": "cniCacheV1",
            "containerId": self.id(index),
            "config": base64::encode(list.to_string().as_bytes()),
            "ifName": "eth0",
            "networkName": NETWORK,
            "netns": netns,
            "cniArgs": [["IgnoreUnknown", "1"]],
            "capabilityArgs": capabilities,
            "result": self.result(index),
        });
        self.remember_as(index, &entry);
    }

    /// Writes any document in the place of a pod's.
    pub fn remember_as(&self, index: usize, entry: &Value) {
        // Whole at once, as somebody may be reading.
        let draft = self.directory.join(format!("entry-{index}"));
        fs::write(&draft, entry.to_string()).unwrap();
        let age = Duration::from_secs(1000 - u64::try_from(index).unwrap());
        let file = File::options().write(true).open(&draft).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        fs::rename(draft, self.cache_file(index)).unwrap();
    }

    /// Names a pod as Kubernetes' runtimes do.
    pub fn name_pod(&self, index: usize, namespace: &str, name: &str) {
        let mut entry = self.recall(index);
        entry["cniArgs"] = json!([
            ["IgnoreUnknown", "1"],
            ["K8S_POD_NAMESPACE", namespace],
            ["K8S_POD_NAME", name]
        ]);
        self.remember_as(index, &entry);
    }

    pub fn recall(&self, index: usize) -> Value {
        serde_json::from_slice(&fs::read(self.cache_file(index)).unwrap()).unwrap()
    }

    /// The chain's configuration of a plugin for a pod.
    pub fn conf(&self, plugin: &str, index: usize, capabilities: &Value) -> Value {
        let name = plugin.rsplit('/').next().unwrap();
        let plugins = self.plugins();
        let mut conf = plugins
            .into_iter()
            .find(|conf| conf["type"] == name)
            .unwrap();
        conf["cniVersion"] = json!("1.0.0");
        conf["name"] = json!(NETWORK);
        conf["runtimeConfig"] = capabilities.clone();
        conf["prevResult"] = self.result(index);
        conf
    }

    /// A call of a plugin for a pod, with the chain's configuration.
    pub fn call(&self, plugin: &str, verb: &str, index: usize, capabilities: &Value) -> Call {
        let conf = self.conf(plugin, index, capabilities);
        let lock = self.directory.join("lock").display().to_string();
        Call::new(plugin, verb)
            .env("CNI_CONTAINERID", &self.id(index))
            .netns(self.pod(index))
            .env("PATH", &self.path())
            .env("XTABLES_LOCKFILE", &lock)
            .with_run(&self.run_dir())
            .stdin(conf.to_string())
    }

    fn path(&self) -> String {
        format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.directory.display())
    }

    /// Attaches a pod through one plugin and remembers it.
    #[track_caller]
    pub fn attach(&self, plugin: &str, index: usize, capabilities: &Value) {
        self.does(plugin, "ADD", index, capabilities);
        self.remember(index, capabilities);
    }

    #[track_caller]
    pub fn does(&self, plugin: &str, verb: &str, index: usize, capabilities: &Value) -> Answer {
        let call = self.call(plugin, verb, index, capabilities);
        let answer = call.run(&self.net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{} {}", answer.stdout, answer.stderr);
        answer
    }

    /// Every pod attached through one plugin, each with its own port.
    #[track_caller]
    pub fn attach_all(&self, plugin: &str) {
        for index in 0..self.net.containers.len() {
            self.attach(plugin, index, &self.capabilities(index));
        }
    }

    /// Runs a command of the tool with this node's cache, for one plugin only.
    #[track_caller]
    pub fn run(&self, plugin: &str, line: &[&str]) -> Said {
        self.run_with(plugin, line, &[])
    }

    #[track_caller]
    pub fn run_with(&self, plugin: &str, line: &[&str], env: &[(&str, &str)]) -> Said {
        let call = self.command(plugin, line);
        let call = env
            .iter()
            .fold(call, |call, (key, value)| call.env(key, value));
        Said::of(call.run(&self.net.host).unwrap())
    }

    /// A command of the tool with this node's cache, for one plugin where the command can have several.
    /// `reconcile` waits for no DEL unless the line says so.
    pub fn command(&self, plugin: &str, line: &[&str]) -> Call {
        match line[0] {
            "reconcile" | "gc" => self.tool(&[line, &["--plugin", plugin]].concat()),
            _ => self.tool(line),
        }
    }

    /// A command of the tool with this node's cache.
    pub fn tool(&self, line: &[&str]) -> Call {
        let cache = self.cache_dir().display().to_string();
        let lock = self.directory.join("lock").display().to_string();
        let mut words = [line, &["--cache-dir", &cache]].concat();
        let state = self.state_dir().display().to_string();
        if ["reconcile", "follow", "metrics"].contains(&line[0]) {
            words.extend(["--state-dir", &state]);
        }
        if line[0] == "reconcile" && !line.contains(&"--grace") {
            words.push("--grace=0");
        }
        Call::bare("cnictl")
            .arguments(&words)
            .env("PATH", &self.path())
            .env("XTABLES_LOCKFILE", &lock)
            .with_run(&self.run_dir())
    }

    /// Empties what a firewall's reload empties.
    pub fn reload(&self) {
        if self.backend == Backend::IptablesLegacy {
            let flush = ["iptables-legacy", "-t", "nat", "-F"];
            let lock = self.directory.join("lock");
            let mut command = self.net.host.command(flush[0]);
            let done = command
                .args(&flush[1..])
                .env("XTABLES_LOCKFILE", lock)
                .status();
            assert!(done.unwrap().success());
        } else {
            self.net.host.sh(["nft", "flush", "ruleset"]);
        }
    }

    /// All rules of the node, of every backend.
    pub fn rules(&self) -> String {
        let nft = self.net.host.sh(["nft", "--stateless", "list", "ruleset"]);
        let legacy = self.net.host.sh(["iptables-legacy-save"]);
        let lines = [nft, legacy].concat();
        let lines = lines.lines().filter(|line| !line.starts_with(['#', ':']));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
