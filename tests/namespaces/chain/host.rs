//! The machine that a session of recorded calls is replayed on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::plugin::{Answer, Call};
use sandbox::probe::{tcp, udp};
use sandbox::topology::Net;
use sandbox::{Snapshot, Topology, wait_until};
use serde_json::{Value, json};

use super::capture::Recorded;
use super::pod::Pod;
use super::wanted::{self, Mapping, is_loopback};

/// Those whose calls are replayed.
const OURS: [&str; 3] = ["tuning", "portmap", "bandwidth"];

/// How the names of all chains begin that portmap makes once for the machine.
const SHARED_CHAINS: &str = "CNI-HOSTPORT-";

/// How long a probe waits, and how long probes are repeated.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));

pub struct Host {
    net: Net,
    before: Snapshot,
    /// By container ID.
    pods: BTreeMap<String, Pod>,
    /// For what tuning keeps.
    dir: PathBuf,
    /// Names of bridges, which stay.
    bridges: Vec<String>,
}

impl Host {
    pub fn new(name: &str) -> Self {
        let net = Topology::new().containers(0).client().build().unwrap();
        let before = Snapshot::take(&net.host).unwrap();
        let dir = std::env::temp_dir().join(format!("chain-{}-{name}", std::process::id()));
        let (pods, bridges) = (BTreeMap::new(), Vec::new());
        Self {
            net,
            before,
            pods,
            dir,
            bridges,
        }
    }

    /// Does what a call did: runs it if it is one of ours, attaches and detaches for the bridge plugin.
    /// `is_last` says that this plugin is the last of its chain.
    pub fn replay(&mut self, call: &Recorded, is_last: bool, told: &str) {
        if call.is_of_a_container() {
            self.follow(call);
        }
        let told = format!("{told}: {} {}", call.plugin, call.verb);
        match (call.plugin.as_str(), call.verb.as_str()) {
            ("bridge", "ADD") if call.rc == 0 => self.attach(call),
            ("bridge", "DEL") => {
                if let Some(pod) = self.pods.get_mut(call.env("CNI_CONTAINERID")) {
                    pod.detach(call.env("CNI_IFNAME"));
                }
            }
            (plugin, _) if OURS.contains(&plugin) => self.run(call, is_last, &told),
            _ => {}
        }
    }

    /// Makes the namespaces that were there at the time of a call, and no others.
    fn follow(&mut self, call: &Recorded) {
        let (id, path) = (call.env("CNI_CONTAINERID"), call.env("CNI_NETNS"));
        let known = self
            .pods
            .get(id)
            .is_some_and(|pod| pod.recorded_path == path);
        if known && call.netns_exists {
            return;
        }
        if let Some(mut pod) = self.pods.remove(id) {
            pod.detach_all();
        }
        if call.netns_exists {
            self.pods.insert(id.to_owned(), Pod::new(path));
        }
    }

    fn attach(&mut self, call: &Recorded) {
        let result: Value = serde_json::from_str(&call.stdout).unwrap();
        let bridge = result["interfaces"][0]["name"].as_str().unwrap();
        self.bridges.push(bridge.to_owned());
        let pod = self.pods.get_mut(call.env("CNI_CONTAINERID")).unwrap();
        pod.attach(&self.net.host, &result);
        let mut ips = result["ips"].as_array().unwrap().iter();
        let ipv6 = ips.any(|ip| ip["address"].as_str().unwrap().contains(':'));
        pod.wanted_on(call.env("CNI_IFNAME")).ipv6 = ipv6;
    }

    fn run(&mut self, call: &Recorded, is_last: bool, told: &str) {
        let answer = self.call(call);
        assert_eq!(
            answer.code.map(i64::from),
            Some(call.rc),
            "{told}: {answer:?}"
        );
        if call.verb == "ADD" && call.rc == 0 {
            self.take_note(call, &answer, told);
        }
        let complete = is_last && call.rc == 0;
        if complete && ["ADD", "CHECK", "GC"].contains(&call.verb.as_str()) {
            self.assert_everything_wanted(told);
        }
    }

    fn call(&self, call: &Recorded) -> Answer {
        let set = |replayed: Call, (key, value): (&String, &String)| {
            replayed.env(key, &self.translate(value))
        };
        let replayed = call.env.iter().fold(Call::bare(&call.plugin), set);
        let mut stdin = self.translate(&call.stdin);
        if !stdin.contains("\"dataDir\"") {
            // Where nothing is said, what tuning keeps is the machine's and not this test's.
            let dir = self.dir.join("default");
            stdin = stdin.replacen('{', &format!("{{\"dataDir\":{},", json!(dir)), 1);
        }
        replayed.stdin(stdin).run(&self.net.host).unwrap()
    }

    /// A recorded text with the paths of this machine. A namespace that is gone keeps its path: nothing
    /// is there.
    fn translate(&self, text: &str) -> String {
        let mut text = text.replace("/var/lib/e2e/state-", &format!("{}/", self.dir.display()));
        for pod in self.pods.values() {
            text = text.replace(&pod.recorded_path, pod.namespace.path().to_str().unwrap());
        }
        text
    }

    /// What an ADD asked for; and portmap's result is the one it was given.
    fn take_note(&mut self, call: &Recorded, answer: &Answer, told: &str) {
        let expected = self.translate(&call.stdout);
        let wanted = self.pods.get_mut(call.env("CNI_CONTAINERID")).unwrap();
        let wanted = wanted.wanted_on(call.env("CNI_IFNAME"));
        match call.plugin.as_str() {
            "portmap" => {
                let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(json(&answer.stdout), json(&expected), "{told}");
                wanted.mappings = Mapping::all_in(&call.conf);
            }
            "bandwidth" => wanted.rates = wanted::rates(&call.conf),
            _ => {}
        }
    }

    fn assert_everything_wanted(&mut self, told: &str) {
        let mut rates = Vec::<u64>::new();
        for (id, pod) in &mut self.pods {
            let mut probes = Vec::new();
            for (_, wanted) in &pod.wanted {
                rates.extend(&wanted.rates);
                for mapping in wanted.mappings.iter().filter(|one| one.protocol != "sctp") {
                    let addresses = mapping.addresses(&self.net.host, wanted.ipv6);
                    probes.extend(addresses.into_iter().map(|to| (mapping.clone(), to)));
                }
            }
            for (mapping, to) in probes {
                pod.serve(&mapping, id);
                let outside = self.net.client();
                let client = if is_loopback(&to) {
                    &self.net.host
                } else {
                    outside
                };
                let mut last = None;
                let reached = wait_until(PATIENCE.1, || {
                    let outcome = match mapping.protocol.as_str() {
                        "udp" => udp::exchange_within(client, to, PATIENCE.0),
                        _ => tcp::exchange_within(client, to, PATIENCE.0),
                    };
                    last.insert(outcome).server() == Some(id)
                });
                assert!(reached, "{told}: {} {to}: {last:?}", mapping.protocol);
            }
        }
        rates.sort_unstable();
        assert_eq!(self.token_buckets(), rates, "{told}");
    }

    fn token_buckets(&self) -> Vec<u64> {
        let host = Snapshot::take(&self.net.host).unwrap();
        let qdiscs = host
            .qdiscs
            .iter()
            .map(|line| serde_json::from_str(line).unwrap());
        let buckets = qdiscs.filter(|qdisc: &Value| qdisc["kind"] == "tbf");
        let rate = |qdisc: Value| qdisc["options"]["rate"].as_u64().unwrap();
        let mut rates: Vec<_> = buckets.map(rate).collect();
        rates.sort_unstable();
        rates
    }

    /// Everything is as it was before, but for bridges and the chains that are nobody's.
    pub fn assert_nothing_left(&self, told: &str) {
        let mut left = self.before.diff(&Snapshot::take(&self.net.host).unwrap());
        left.retain(|line| {
            let of_bridge = self.bridges.iter().any(|bridge| line.contains(bridge));
            let shared = line.contains(SHARED_CHAINS);
            !of_bridge && (!shared || line.contains("CNI-DN-"))
        });
        files(&self.dir, &mut left);
        assert_eq!(left, Vec::<String>::new(), "{told}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Paths of the files below a directory.
fn files(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path.display().to_string()),
        }
    }
}
